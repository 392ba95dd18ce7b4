"""A line that broke is tried again for a while, and who waits is told for how long."""

from __future__ import annotations

import pytest

from unet_engine.errors import Cancelled
from unet_engine.remote import seeking
from unet_engine.remote.connection import LineLostError
from unet_engine.remote.seeking import Reconnecting, iter_sought, sought
from unet_engine.stopping import never


class _Line:
    """It is there from an attempt on."""

    def __init__(self, attempts: int) -> None:
        self.left = attempts

    def __call__(self, stop):
        self.left -= 1
        if self.left > 0:
            raise LineLostError("lost")
        return "found"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeking, "_RETRY_S", 0.0)


def test_the_time_that_is_left_is_told_before_each_attempt():
    run = iter_sought(_Line(3), 60.0, never)
    left = [next(run), next(run), next(run)]
    with pytest.raises(StopIteration) as end:
        next(run)

    assert 60.0 >= left[0] > left[1] > left[2] > 0
    assert end.value.value == "found"


def test_without_time_nothing_is_tried():
    line = _Line(1)

    assert sought(line, 0.0, never) is None
    assert line.left == 1


def test_a_stop_ends_it_between_attempts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seeking, "_RETRY_S", 60.0)
    with pytest.raises(Cancelled):
        sought(_Line(2), 60.0, lambda: True)


def test_it_is_described_with_the_time_that_is_left():
    event = Reconnecting(device="tcp://gpu:8786", seconds=17.6, done=2, total=9)

    assert event.describe() == (
        "The connection to tcp://gpu:8786 was lost; trying again for 18 s…"
    )
