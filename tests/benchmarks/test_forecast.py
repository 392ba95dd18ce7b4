"""Forecasts of the gain of a round: what is compared, and how."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from forecast import (
    FORECASTS,
    Gain,
    course_and_typical,
    judge,
    no_gain,
    read_gains,
    share_of_rest,
    typical,
    typical_of_round,
)


def test_gains_are_those_from_round_to_round(tmp_path: Path) -> None:
    table = tmp_path / "courses.csv"
    rows = ["set,method,seed,round,iou", "a,m,0,2,0.5", "a,m,0,1,0.4", "a,m,0,4,0.9"]
    table.write_text("\n".join([*rows, "a,m,1,1,0.1", "a,m,1,2,0.3"]))
    first, second = sorted(read_gains(table), key=lambda one: one.gain)
    assert (first.iou, first.after) == (0.4, 1) and math.isnan(first.last)
    assert (first.gain, second.gain) == (pytest.approx(0.1), pytest.approx(0.2))


def test_a_set_is_forecast_from_the_others_only() -> None:
    gains = [Gain("a", 1, 0.5, math.nan, 0.0)] * 3
    gains += [Gain("b", 1, 0.5, math.nan, 0.1)] * 3
    assert judge(gains, typical) == (pytest.approx(0.1), 0.0, pytest.approx(0.0))
    error, inside, width = judge(gains, no_gain)
    assert error == pytest.approx(0.05)
    # What is within 0 of the other set holds no gain of the set with gains.
    assert inside == 0.5 and width == pytest.approx(0.05)


@pytest.mark.parametrize("make", FORECASTS)
def test_all_alike_is_forecast_rightly(make: object) -> None:
    rest = 0.5 * math.log(2)
    known = [Gain(name, 1, 0.5, rest, rest) for name in "ab"]
    error, _, _ = judge(known, make)  # type: ignore[arg-type]
    assert error == pytest.approx(rest if make is no_gain else 0.0)


def test_forecasts_take_what_they_are_named_for() -> None:
    known = [Gain("a", 1, 0.5, math.nan, 0.3), Gain("a", 2, 0.8, 0.3, 0.1)]
    assert typical(known)(known[0]) == pytest.approx(0.2)
    assert typical_of_round(known)(known[1]) == pytest.approx(0.1)
    rest = share_of_rest(known)
    assert rest(known[0]) > rest(known[1]) > 0
    assert course_and_typical(known)(known[0]) == pytest.approx(0.2)


def test_the_recorded_courses_are_read() -> None:
    gains = read_gains()
    assert len(gains) == 56 and len({one.dataset for one in gains}) == 7
