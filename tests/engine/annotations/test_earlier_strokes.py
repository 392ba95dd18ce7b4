"""Strokes saved by an earlier version: folder ``earlier_strokes``, made by 86f04c3."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from unet_engine.annotations.store import ImageIdentity, StrokeStore
from unet_engine.images import Image

EARLIER = Path(__file__).with_name("earlier_strokes")


def identity():
    """Return the identity of the image that was painted on."""
    y, x = np.mgrid[:300, :320]
    planes = [(y * (z + 1) + x * 3) % 251 for z in range(3)]
    pixels = np.stack(planes).astype(np.uint8)
    return ImageIdentity.of(Image.from_array(pixels, "ZYX", name="cells"), None)


@pytest.fixture
def store(tmp_path):
    shutil.copytree(EARLIER, tmp_path / "strokes")
    return StrokeStore(tmp_path / "strokes")


def expected_labels():
    """Return the labels that were painted, 255 where none were."""
    labels = np.full((3, 300, 320), 255, np.uint8)
    labels[0, 10:30, 20:50] = 1
    labels[1, 240:260, 240:270] = 0
    labels[0, 15:35, 25:55] = 2
    labels[2, 100:120, 100:130] = 1
    return labels


def test_strokes_of_an_earlier_version_open_and_are_painted_on(store):
    notes = store.open(identity())
    labels = expected_labels()
    for z in range(3):
        np.testing.assert_array_equal(notes.target((z,)), labels[z])
    assert (notes.strokes, notes.conflicts) == (4, 375)
    assert notes.painted.names == ("background", "cell", "nucleolus")
    assert notes.painted.model == {"name": "nuclei"}
    assert (notes.recovery.lost, notes.recovery.cut, notes.save_error) == (0, False, "")
    with notes.stroke():
        notes.accept((2,), (slice(0, 9), slice(0, 9)), np.full((9, 9), 2, np.uint8))
    notes.close()
    labels[2, :9, :9] = 2
    again = store.open(identity())
    for z in range(3):
        np.testing.assert_array_equal(again.target((z,)), labels[z])
    assert again.strokes == 5


def test_strokes_of_an_earlier_version_that_were_cut_short_open(store):
    path = next(store.root.rglob("*.strokes"))
    path.write_bytes(path.read_bytes()[:-5])
    notes = store.open(identity())
    # The redo was cut: the stroke before it was undone.
    assert notes.recovery.cut
    assert (notes.strokes, notes.planes()) == (3, ((0,), (1,)))


def test_strokes_of_an_earlier_version_have_the_times_of_its_log(store):
    notes = store.open(identity())
    first, second, third = (notes.times((z,)) for z in range(3))
    assert (first[10:15, 20:50] == 0).all(), "in a block that was written without"
    assert (first[16:35, 25:55] > 1.7e9).all(), "in the acts after it"
    assert np.isnan(first[:10]).all()
    np.testing.assert_array_equal(
        np.isnan(np.stack([first, second, third])), expected_labels() == 255
    )
    notes.close()
