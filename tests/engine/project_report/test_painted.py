"""Strokes are counted block by block as on the whole plane."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.block import EDGE
from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import IGNORE
from unet_engine.project_report.painted import _count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

SHAPE = (3 * EDGE - 5, 2 * EDGE + 9)
PLACES = st.tuples(
    st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1), st.integers(0, 1)
)


@given(st.lists(PLACES, max_size=6), st.integers(1, EDGE + 20))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=25)
def test_strokes_are_those_of_the_whole_plane(
    places: Sequence[tuple[int, int, int]], length: int
) -> None:
    notes = Annotations(SHAPE)
    for row, column, value in places:
        columns = np.arange(column, min(column + length, SHAPE[1]))
        notes.set([np.full(len(columns), row), columns], value)
    target = notes.target(())
    numbers = stroke_map(target, IGNORE)
    firsts = [np.argmax(numbers == n) for n in range(int(numbers.max(initial=-1)) + 1)]
    expected = Counter(["background", "foreground"][v] for v in target.flat[firsts])
    assert _count(notes).strokes == expected


def test_blocks_of_another_stroke_within_a_box_are_counted_once() -> None:
    notes = Annotations((4 * EDGE, 4 * EDGE))
    # An L around a block with a dot, which touches it nowhere.
    along = np.arange(4 * EDGE)
    notes.set([along, np.full(4 * EDGE, 3)], 1)
    notes.set([np.full(4 * EDGE, 4 * EDGE - 3), along], 1)
    notes.set([[EDGE // 2], [3 * EDGE + 9]], 1)
    assert _count(notes).strokes == {"foreground": 2}


def test_a_slide_with_strokes_in_two_corners_fits_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    genuine = Annotations.target

    def target(self: Annotations, *words: object) -> np.ndarray:
        found = genuine(self, *words)  # type: ignore[arg-type]
        read.append(found.size)
        return found

    monkeypatch.setattr(Annotations, "target", target)
    notes = Annotations((200_000, 200_000))
    for corner in (5, 199_990):
        notes.set([[corner], [corner]], 1)
    assert _count(notes).strokes == {"foreground": 2}
    assert max(read) <= EDGE**2


def test_a_stroke_over_the_corner_of_blocks_is_one() -> None:
    notes = Annotations((2 * EDGE, 2 * EDGE))
    notes.set([[EDGE - 1, EDGE], [EDGE - 1, EDGE]], 1)
    assert _count(notes).strokes == {"foreground": 1}
