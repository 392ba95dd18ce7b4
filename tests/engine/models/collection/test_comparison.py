"""Two models beside each other: what is known of them, and their masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.errors import DataError
from unet_engine.models.collection.comparison import agreement_of, compare_models
from unet_engine.models.collection.description import describe_model, megabytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore

    Add = Callable[..., ModelInfo]


def test_a_description_has_what_is_known(store: ModelStore, add: Add):
    add("first")
    info = add("child", "first", iou=0.75, pixel_size_um=0.5)
    described = describe_model(info, store.list(), licence="CC0")
    expected = {
        "origin": "made here",
        "network": "U-Net of planes, depth 2, 4 channels at the first level",
        "classes": "background, cell",
        "channels": "1",
        "pixel size": "0.5 µm",
        "tuned from": "first",
        "trained on": "a, b",
        "trained": "2026-01-02, 120 steps, 2 min",
        "score": "IoU 0.750 on held-out labels (0.250 before)",
        "licence": "CC0",
    }
    assert {title: described.get(title) for title in expected} == expected
    assert described.get("object size") == ""
    assert describe_model(store.info("first"), store.list()).get("tuned to") == "child"
    info.path.unlink()
    gone = describe_model(store.info("first"), store.list())
    assert gone.get("tuned to") == ""


def test_a_parent_that_is_gone_is_named(store: ModelStore, add: Add):
    add("first")
    child = add("child", "first")
    store.info("first").path.unlink()
    described = describe_model(child, store.list())
    assert described.get("tuned from") == "first (not there any more)"


def test_rows_that_differ_are_marked(store: ModelStore, add: Add):
    rows = compare_models(add("one"), add("two", iou=0.9, object_size_px=9.0))
    differing = {row.title: (row.one, row.other) for row in rows if row.differs}
    assert {"score", "object size"} <= differing.keys()
    assert not {"network", "classes", "trained on"} & differing.keys()
    assert differing["object size"] == ("", "9 px")


def test_masks_are_compared_by_the_names_of_their_classes():
    one = np.array([[0, 1, 1, 2]], np.uint8)
    other = np.array([[0, 2, 2, 1]], np.uint8)
    found = agreement_of(one, other, ("b", "cell", "wall"), ("bg", "wall", "cell"))
    assert found.share == 1
    assert found.iou == {"cell": 1.0, "wall": 1.0}
    found = agreement_of(one, other, ("b", "cell", "wall"), ("b", "cell", "other"))
    assert found.share == 0.25
    assert found.iou == {"cell": 0.0}
    assert found.differs.tolist() == [[False, True, True, True]]
    assert found.describe() == (
        "the same class in 25.0% of the pixels, IoU of cell 0.000"
    )


def test_a_class_of_neither_mask_has_no_score():
    empty = np.zeros((2, 2), np.uint8)
    found = agreement_of(empty, empty, ("b", "cell"), ("b", "cell"))
    assert found.iou == {"cell": None}
    assert "no cell in either" in found.describe()


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="same part"):
        agreement_of(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), (), ())


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1 kB"), (7_900, "8 kB"), (7_794_432, "7.8 MB")]
)
def test_sizes_are_never_zero(size: int, text: str):
    assert megabytes(size) == text
