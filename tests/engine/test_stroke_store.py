"""Which strokes belong to which image."""

import os
from pathlib import Path

import numpy as np
import pytest

from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.strokes.store import FOLDER_VARIABLE, ImageIdentity, StrokeStore

PIXELS = np.random.default_rng(0).integers(0, 255, (3, 64, 80)).astype(np.uint8)


class Lazy:
    """An array-like that counts the pixels that are read."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.read = 0

    def __getitem__(self, key):
        part = self.data[key]
        self.read += part.size
        return part


def identity(pixels=PIXELS, path=None, name="cells", axes="ZYX"):
    return ImageIdentity.of(Image.from_array(pixels, axes, name=name), path)


@pytest.fixture
def store(tmp_path):
    return StrokeStore(tmp_path / "strokes")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "cells.tif"
    path.write_bytes(b"an image")
    return path


def paint(store, described):
    """Make a stroke on an image and close it."""
    notes = store.open(described)
    notes.set((0, 5, 5), 1)
    notes.close()


def test_an_image_finds_its_strokes_and_others_do_not(store, file):
    assert not store.has_any()
    paint(store, identity(path=file))
    assert store.has_any()
    assert store.find(identity(path=file)) is not None
    assert store.open(identity(path=file)).strokes == 1
    other = file.with_name("other.tif")
    for stranger in (
        identity(path=other),
        identity(),
        identity(path=file, axes="TYX"),
        identity(PIXELS[:, :32], path=file),
    ):
        assert store.find(stranger) is None


def test_an_image_that_is_only_opened_leaves_nothing(store, file):
    store.open(identity(path=file)).close()
    assert not store.root.exists()


def test_channels_of_one_file_are_apart(store, file):
    paint(store, identity(path=file, name="cells C0"))
    assert store.find(identity(255 - PIXELS, path=file, name="cells C1")) is None
    renamed = store.find(identity(path=file, name="nuclei"))
    assert renamed == store.find(identity(path=file, name="cells C0"))


def test_pixels_of_a_file_that_is_read_lazily_are_not_read(store, file):
    lazy = Lazy(PIXELS)
    paint(store, identity(lazy, path=file))
    assert store.find(identity(lazy, path=file)) is not None
    assert lazy.read == 0
    assert store.find(identity(lazy, path=file, name="renamed")) is None


def test_of_an_array_without_a_file_a_few_pixels_are_read():
    lazy = Lazy(np.zeros((50, 900, 900), np.uint16))
    identity(lazy)
    assert 0 < lazy.read <= 32 * 32
    changed = PIXELS.copy()
    changed[:, ::2] += 1
    assert identity(changed).digest != identity().digest


def test_a_changed_image_is_noticed(file):
    about = identity(path=file).about()
    assert not identity(path=file).changed_since(about)
    assert identity(255 - PIXELS, path=file).changed_since(about)
    os.utime(file, (1, 1))
    assert not identity(path=file).changed_since(about), "a copy has the same pixels"
    lazy = Lazy(PIXELS)
    about = identity(lazy, path=file).about()
    file.write_bytes(b"another image")
    assert identity(lazy, path=file).changed_since(about)
    assert not identity(path=file).changed_since(None)


def test_the_size_of_an_earlier_image_of_the_file_is_known(store, file):
    assert store.of_other_size(identity(path=file)) is None
    paint(store, identity(path=file))
    smaller = identity(PIXELS[:, :32], path=file)
    assert store.of_other_size(smaller) == (64, 80)
    assert store.of_other_size(identity(path=file)) is None
    paint(store, smaller)
    assert store.of_other_size(smaller) is None


def test_strokes_that_are_set_aside_are_not_found_and_stay(store, file):
    names = set()
    for _ in range(3):
        paint(store, identity(path=file))
        folder = store.find(identity(path=file))
        aside = store.set_aside(folder)
        assert store.find(identity(path=file)) is None
        assert store.find(identity(path=file, name="renamed")) is None
        assert any(aside.glob("*.strokes"))
        names.add(aside.name)
    assert len(names) == 3


def test_strokes_that_cannot_be_set_aside(store, file):
    with pytest.raises(DataError, match="cannot be set aside"):
        store.set_aside(Path(store.root / "missing"))


def test_a_name_makes_no_path(store):
    described = identity(name="../../a:b*c/\x00" + "long" * 100)
    paint(store, described)
    folder = store.find(described)
    assert folder.parent.parent == store.root
    assert len(folder.parent.name) < 64


def test_the_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert StrokeStore().root == tmp_path / "mine"
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert StrokeStore().root.name == "strokes"
    assert "napari-unet-finetune" in str(StrokeStore().root)
