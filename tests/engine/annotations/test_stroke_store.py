"""Which strokes belong to which image."""

import os
from pathlib import Path

import numpy as np
import pytest

from unet_engine.annotations.store import STROKES_VARIABLE, ImageIdentity, StrokeStore
from unet_engine.errors import DataError
from unet_engine.images import Image

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


def test_an_array_that_is_neither_in_memory_nor_in_a_file_is_known_unread():
    lazy, other = (Lazy(np.zeros((50, 900, 900), np.uint16)) for _ in range(2))
    lazy.name = other.name = "from-zarr-5f1d"
    assert identity(lazy).digest == identity(other).digest
    other.name = "from-zarr-0c77"
    assert identity(lazy).digest != identity(other).digest
    assert not lazy.read


def test_other_pixels_have_another_digest():
    changed = PIXELS.copy()
    changed[:, ::2] += 1
    assert identity(changed).digest != identity().digest


def test_a_changed_image_is_noticed(file):
    image_info = identity(path=file).image_info()
    assert not identity(path=file).changed_since(image_info)
    assert identity(255 - PIXELS, path=file).changed_since(image_info)
    os.utime(file, (1, 1))
    assert not identity(path=file).changed_since(image_info), (
        "a copy has the same pixels"
    )
    lazy = Lazy(PIXELS)
    image_info = identity(lazy, path=file).image_info()
    file.write_bytes(b"another image")
    assert identity(lazy, path=file).changed_since(image_info)
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
    monkeypatch.setenv(STROKES_VARIABLE, str(tmp_path / "mine"))
    assert StrokeStore().root == tmp_path / "mine"
    monkeypatch.delenv(STROKES_VARIABLE)
    assert StrokeStore().root.name == "strokes"
    assert "napari-unet-finetune" in str(StrokeStore().root)


def moved(file, target):
    target.parent.mkdir(exist_ok=True)
    return file.rename(target)


@pytest.mark.parametrize("target", ["server/cells.tif", "renamed.tif"])
def test_strokes_are_found_by_the_pixels_when_the_file_moved(store, file, target):
    paint(store, identity(path=file))
    now = moved(file, file.parent / target)
    again = identity(path=now, name=now.stem)
    notes = store.open(again)
    assert notes.strokes == 1
    assert again.moved_from(notes.recovery.image_info) == str(file)
    # A new stroke goes there too, and the old folder is that of the new place.
    notes.set((0, 9, 9), 1)
    notes.close()
    assert store.open(identity(path=now, name=now.stem)).strokes == 2


def test_a_symbolic_link_leads_to_the_strokes(store, file):
    paint(store, identity(path=file))
    link = file.with_name("link.tif")
    link.symlink_to(file)
    assert store.open(identity(path=link, name="link")).strokes == 1
    assert not identity(path=link).moved_from({"path": str(file)})


def test_a_file_that_is_read_lazily_is_found_by_name_size_and_time(store, file):
    def lazy(path):
        return identity(Lazy(PIXELS), path=path)

    paint(store, lazy(file))
    now = moved(file, file.with_name("server") / file.name)
    assert store.open(lazy(now)).strokes == 1
    now.write_bytes(b"another image of that name")
    assert store.find(lazy(now)) is None


def test_what_looks_moved_and_is_another_image_gets_no_strokes(store, file):
    paint(store, identity(path=file))
    now = moved(file, file.with_name("server") / file.name)
    assert store.find(identity(255 - PIXELS, path=now)) is None, "other pixels"
    assert store.find(identity(path=now, axes="TYX")) is None, "other axes"
    assert store.find(identity()) is None, "an array in memory"
    now.write_bytes(b"a longer file")
    assert store.find(identity(path=now)) is None, "another size"


def test_a_copy_beside_its_original_is_an_image_of_its_own(store, file):
    paint(store, identity(path=file))
    copy = file.with_name("copy.tif")
    copy.write_bytes(file.read_bytes())
    assert store.find(identity(path=copy)) is None
    # Where another image took the place of the original, it is the one that moved.
    file.write_bytes(b"another image, longer")
    assert store.open(identity(path=copy)).strokes == 1


def test_blank_images_are_not_taken_for_each_other(store, file):
    blank = np.zeros_like(PIXELS)
    paint(store, identity(blank, path=file))
    now = moved(file, file.with_name("another.tif"))
    assert store.find(identity(blank, path=now, name="another")) is None
