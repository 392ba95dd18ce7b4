"""``drain``: a run to its end, with its events and its result."""

import pytest

from unet_engine.generators import drain


def count(closed: list[str]):
    try:
        yield 1
        yield 2
        return "result"
    finally:
        closed.append("closed")


def test_the_result_is_returned_and_every_event_is_passed_on_in_order():
    events: list[int] = []
    assert drain(count([]), events.append) == "result"
    assert events == [1, 2]
    assert drain(count([])) == "result"


def test_a_run_whose_events_cannot_be_handled_is_closed():
    closed: list[str] = []

    def refuse(event: int) -> None:
        raise ValueError(event)

    run = count(closed)
    with pytest.raises(ValueError, match="1"):
        drain(run, refuse)
    assert closed == ["closed"]


def test_a_stop_iteration_of_the_handler_is_not_taken_for_the_end():
    def exhaust(event: int) -> None:
        next(iter(()))

    with pytest.raises(StopIteration):
        drain(count([]), exhaust)
