"""Where to look next: uncertainty, pooled, ranked, spread out."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.interactive.where_to_look import (
    CELL,
    Suggestion,
    Survey,
    entropy,
    rank_suggestions,
    sample_tiles,
)

PLANE = (5 * CELL, 6 * CELL)


def survey_of(*planes: np.ndarray, touched: np.ndarray | None = None) -> Survey:
    """Survey planes in tiles that do not lie on the cells."""
    height, width = planes[0].shape
    survey = Survey((height, width))
    for z, plane in enumerate(planes):
        index = (z,) if len(planes) > 1 else ()
        for top in range(0, height, 200):
            for left in range(0, width, 300):
                inner = (
                    slice(top, min(top + 200, height)),
                    slice(left, min(left + 300, width)),
                )
                labelled = None if touched is None else touched[inner]
                survey.add(index, inner, plane[inner], labelled)
    return survey


def cell_of(region: Suggestion) -> tuple[int, int]:
    return region.rows.start // CELL, region.columns.start // CELL


def doubt(*cells: tuple[int, int], by: float = 0.8) -> np.ndarray:
    plane = np.full(PLANE, 0.01, np.float32)
    for row, column in cells:
        plane[
            row * CELL + 20 : (row + 1) * CELL - 20,
            column * CELL + 20 : (column + 1) * CELL - 20,
        ] = by
    return plane


class TestEntropy:
    def test_it_is_one_where_all_are_equally_likely_and_none_where_one_is_sure(self):
        probabilities = np.array([[1, 0.5, 0, 0.9], [0, 0.5, 1, 0.1]], np.float32)
        found = entropy(probabilities)
        np.testing.assert_allclose(found[:3], [0, 1, 0], atol=1e-6)
        assert found[3] == pytest.approx(0.469, abs=1e-3)
        assert found.dtype == np.float32

    def test_three_classes(self):
        assert entropy(np.full((3, 2, 2), 1 / 3)) == pytest.approx(np.ones((2, 2)))
        two_of_three = entropy(np.array([[0.5], [0.5], [0.0]]))
        assert two_of_three == pytest.approx([np.log(2) / np.log(3)])


class TestRanking:
    def test_the_least_certain_comes_first(self):
        plane = np.maximum(doubt((1, 1), by=0.6), doubt((3, 4), by=0.9))
        ranked = rank_suggestions(survey_of(plane), 5)
        assert [cell_of(region) for region in ranked] == [(3, 4), (1, 1)]
        assert ranked[0].rows == slice(3 * CELL, 4 * CELL)
        assert ranked[0].uncertainty > ranked[1].uncertainty

    def test_what_is_touched_is_not_uncertain(self):
        plane = np.maximum(doubt((1, 1), by=0.6), doubt((3, 4), by=0.9))
        touched = doubt((3, 4)) > 0.5
        ranked = rank_suggestions(survey_of(plane, touched=touched), 5)
        assert [cell_of(region) for region in ranked] == [(1, 1)]

    def test_neighbours_are_not_both_named(self):
        plane = doubt((1, 1), (1, 2), (2, 2), (4, 4))
        ranked = rank_suggestions(survey_of(plane), 9)
        assert len(ranked) == 2
        assert (4, 4) in [cell_of(region) for region in ranked]

    def test_places_spread_over_the_slices_of_a_stack(self):
        busy = np.maximum(doubt((0, 0), (0, 3), (4, 0), by=0.9), 0)
        calm = doubt((2, 5), by=0.7)
        sure = doubt()
        ranked = rank_suggestions(survey_of(busy, sure, sure, calm), 2)
        assert [region.index for region in ranked] == [(0,), (3,)]

    def test_neighbours_in_the_next_slice_are_not_named(self):
        ranked = rank_suggestions(survey_of(doubt((2, 2)), doubt((2, 3))), 9)
        assert len(ranked) == 1

    def test_a_patch_counts_for_more_than_a_border(self):
        plane = np.zeros(PLANE, np.float32)
        plane[CELL + 40 : CELL + 60, CELL + 40 : CELL + 60] = 1
        for column in (10, 50, 90):
            plane[3 * CELL : 4 * CELL, 3 * CELL + column] = 1
        patch, border = plane[CELL : 2 * CELL], plane[3 * CELL : 4 * CELL]
        assert patch.sum() > border.sum() > 0.9 * patch.sum()
        worth = {cell_of(r): r.uncertainty for r in survey_of(plane).suggestions()}
        assert worth[1, 1] > 2 * worth[3, 3] > 0
        assert [cell_of(r) for r in rank_suggestions(survey_of(plane), 2)] == [(1, 1)]

    def test_places_that_were_shown_are_left_out(self):
        survey = survey_of(doubt((1, 1), (3, 4)))
        first, second = rank_suggestions(survey, 2)
        assert rank_suggestions(survey, 2, skip=[first]) == [second]
        assert rank_suggestions(survey, 2, skip=[first, second]) == []

    def test_a_sure_image_has_no_place_to_look_at(self):
        assert rank_suggestions(survey_of(doubt()), 5) == []
        assert rank_suggestions(Survey(PLANE), 5) == []

    def test_a_sliver_that_was_predicted_does_not_score_its_cell(self):
        survey = Survey(PLANE)
        survey.add((), (slice(0, CELL), slice(0, 20)), np.ones((CELL, 20)))
        assert rank_suggestions(survey, 5) == []

    def test_the_rest_at_the_border_is_worth_its_size(self):
        survey = Survey((CELL + 10, CELL))
        survey.add(
            (), (slice(0, CELL + 10), slice(0, CELL)), np.ones((CELL + 10, CELL))
        )
        whole, rest = sorted(survey.suggestions(), key=lambda r: r.rows.start)
        assert whole.uncertainty == pytest.approx(1)
        assert rest.uncertainty == pytest.approx((10 / CELL) ** 0.5)


class TestSampling:
    @settings(deadline=None, max_examples=30)
    @given(
        leading=st.lists(st.integers(1, 4), max_size=2),
        height=st.integers(1, 700),
        width=st.integers(1, 700),
        at=st.tuples(st.floats(-500, 1500), st.floats(-500, 1500)),
    )
    def test_each_tile_comes_once_and_all_of_them(self, leading, height, width, at):
        near = ((0,) * len(leading), *at)
        seen = np.zeros((*leading, height, width), int)
        for index, rows, columns in sample_tiles(
            leading, (height, width), edge=256, near=near
        ):
            seen[(*index, rows, columns)] += 1
        assert (seen == 1).all()

    def test_the_view_comes_first_and_the_rest_is_spread_out(self):
        near = ((7,), 20_000.0, 30_000.0)
        tiles = list(
            islice(sample_tiles((500,), (40_000, 40_000), edge=256, near=near), 40)
        )
        assert tiles[0] == ((7,), slice(19_968, 20_224), slice(29_952, 30_208))
        here = [rows for index, rows, _ in tiles if index == (7,)]
        assert len(here) >= 20
        assert max(abs(rows.start - 20_000) for rows in here[:9]) < 1000
        elsewhere = [index[0] for index, _, _ in tiles if index != (7,)]
        assert len(elsewhere) >= 19
        assert max(elsewhere) - min(elsewhere) > 350
        assert np.bincount(np.array(elsewhere) // 125, minlength=4).min() >= 2
