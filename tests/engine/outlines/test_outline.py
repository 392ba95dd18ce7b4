"""Outlines of pixels, against the pixels that they were made of and against shapely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_engine.errors import Cancelled, DataError
from unet_engine.objects import blocks
from unet_engine.outlines import Outline, iter_outlines, paint
from unet_engine.outlines.outline import fill, polygons_of, runs_of

shapely = pytest.importorskip("shapely")

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = SIZES.flatmap(lambda shape: arrays(np.bool_, shape))
LABELS = SIZES.flatmap(lambda s: arrays(np.uint8, s, elements=st.integers(0, 3)))


def filled(polygons: Any, shape: tuple[int, int]) -> Any:
    mask = np.zeros(shape, np.bool_)
    for polygon in polygons:
        mask |= fill(polygon, shape)
    return mask


def as_shapely(polygons: Any) -> Any:
    return shapely.MultiPolygon([(p[0], p[1:]) for p in polygons])


@given(MASKS)
def test_the_inside_of_the_polygons_is_the_mask(mask: Any) -> None:
    polygons = polygons_of(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)


@given(MASKS)
def test_polygons_are_valid_and_as_large_as_their_pixels(mask: Any) -> None:
    shape = as_shapely(polygons_of(mask))
    # Pieces that touch at a corner are one valid MultiPolygon.
    assert shape.is_valid, shapely.is_valid_reason(shape)
    assert shape.area == mask.sum()


@given(MASKS)
def test_corners_are_whole_turns_and_go_around_as_geojson_states(mask: Any) -> None:
    for polygon in polygons_of(mask):
        for number, ring in enumerate(polygon):
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps[0::2] == 0) != (steps[1::2] == 0)).all()
            assert shapely.LinearRing(ring).is_ccw == (number == 0)


def test_a_ring_that_touches_itself_becomes_rings_that_do_not() -> None:
    # Two holes and the outside meet at corners.
    mask = np.ones((5, 5), np.bool_)
    mask[1, 1] = mask[2, 2] = mask[3, 3] = mask[4, 4] = False
    (polygon,) = polygons_of(mask)
    assert len(polygon) == 4
    assert as_shapely([polygon]).is_valid
    np.testing.assert_array_equal(fill(polygon, mask.shape), mask)


@given(st.data())
def test_any_polygon_has_the_pixels_whose_centres_lie_in_it(data: Any) -> None:
    # A quarter of a pixel: no edge passes exactly through a centre.
    corner = st.tuples(*[st.integers(-20, 60).map(lambda n: n / 4 + 1 / 16)] * 2)
    ring = np.array(data.draw(st.lists(corner, min_size=3, max_size=3, unique=True)))
    triangle = shapely.Polygon(ring)
    mask = fill([ring], (12, 9))
    rows, columns = np.mgrid[:12, :9] + 0.5
    inside = shapely.contains_xy(triangle, columns, rows)
    near = shapely.distance(shapely.boundary(triangle), shapely.points(columns, rows))
    certain = near > 1e-9
    np.testing.assert_array_equal(mask[certain], inside[certain])


@given(MASKS, st.integers(0, 3), st.integers(0, 3))
def test_runs_down_the_columns_are_the_mask(mask: Any, x: int, y: int) -> None:
    height, width = mask.shape[0] + y + 1, mask.shape[1] + x + 2
    runs = runs_of(mask, x, y, height, width)
    assert all(n > 0 for n in runs[1:-1])
    values = np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T
    whole = np.zeros((height, width))
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    np.testing.assert_array_equal(values, whole)


@given(LABELS)
@settings(deadline=None)
def test_labels_are_painted_again_as_they_were(labels: Any) -> None:
    again, overlapping = paint(iter_outlines(labels), labels.shape)
    np.testing.assert_array_equal(again, labels)
    assert overlapping == 0


def test_objects_of_a_stack_and_across_blocks_come_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(blocks._PIXELS, 2, 600)
    rng = np.random.default_rng(1)
    shape = (2, 3, 40, 50)
    labels = np.kron(rng.integers(0, 2**17, (2, 3, 8, 10)), np.ones((5, 5), np.int64))
    chunked = _Chunked(labels, 16)
    outlines = list(iter_outlines(chunked, "TZYX"))
    places = [(one.t, one.z, one.label) for one in outlines]
    assert places == sorted(places)
    assert max(chunked.read) < 40 * 50
    again, _ = paint(outlines, shape, "TZYX")
    assert again.dtype == np.uint32
    np.testing.assert_array_equal(again, labels)


class _Chunked:
    """An array with chunks that records how much is read at a time."""

    def __init__(self, array: Any, edge: int) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunks = (1,) * (array.ndim - 2) + (edge, edge)
        self.read: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        part = self.array[key]
        self.read.append(part.size)
        return part


def test_a_table_gives_classes_and_finite_measurements() -> None:
    labels = np.array([[[1, 0]], [[1, 2]]])
    table = {
        "label": np.array([1, 1, 2]),
        "class": np.array(["cell", "cell", "dirt"]),
        "z": np.array([0, 1, 1]),
        "area (px)": np.array([1, 7, 1]),
        "solidity": np.array([1.0, np.nan, 0.5]),
        "word": np.array(["a", "b", "c"]),
    }
    found = list(iter_outlines(labels, "ZYX", table=table))
    assert [(o.label, o.z, o.class_name) for o in found] == [
        (1, 0, "cell"),
        (1, 1, "cell"),
        (2, 1, "dirt"),
    ]
    assert found[0].measurements == {"area (px)": 1, "solidity": 1.0}
    assert found[1].measurements == {"area (px)": 7}
    numbers = {"label": np.array([1, 2]), "class": np.array([1, 4], np.uint8)}
    found = list(iter_outlines(labels[1], table=numbers))
    assert [o.class_name for o in found] == ["class 1", "class 4"]


def test_the_smaller_of_two_objects_lies_above() -> None:
    large = Outline(label=1, polygons=((np.array([[0, 0], [4, 0], [4, 4], [0, 4]]),),))
    small = Outline(label=2, polygons=((np.array([[1, 1], [3, 1], [3, 2], [1, 2]]),),))
    for order in ([large, small], [small, large]):
        labels, overlapping = paint(order, (4, 4))
        assert (labels == 2).sum() == 2 == overlapping


def test_what_lies_outside_of_the_image_is_refused() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    with pytest.raises(DataError, match=r"object 1 reaches from \(0, 0\) to \(4, 4\)"):
        paint([Outline(label=1, polygons=((square,),))], (3, 9))
    with pytest.raises(DataError, match="from"):
        paint([Outline(label=1, polygons=((square - 9,),))], (30, 9))
    with pytest.raises(DataError, match="frame 0 and slice 2"):
        paint([Outline(label=1, polygons=((square,),), z=2)], (2, 9, 9), "ZYX")
    with pytest.raises(DataError, match="frame 1 and slice 0"):
        paint([Outline(label=1, polygons=((square,),), t=1)], (2, 9, 9), "ZYX")
    with pytest.raises(DataError, match="not of CYX"):
        list(iter_outlines(np.zeros((2, 3, 3)), "CYX"))


def test_it_stops() -> None:
    with pytest.raises(Cancelled):
        list(iter_outlines(np.ones((3, 3), np.uint8), stop=lambda: True))
