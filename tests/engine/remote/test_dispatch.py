"""Jobs that wait for workers do not wait for ever."""

from types import SimpleNamespace

import pytest

from unet_engine.errors import EngineError
from unet_engine.remote import dispatch as module
from unet_engine.remote.connection import LineLostError
from unet_engine.remote.dispatch import Dispatch, FailedJobError, Job
from unet_engine.stopping import never


class _Future:
    status = "pending"

    def add_done_callback(self, call):
        """Never call."""


class _Connection:
    """A scheduler that answers, and whose only worker ended and comes back late."""

    workers = ("the one that ended",)
    addresses = ("tls://1",)
    chosen = None

    def __init__(self, looks):
        self.looks = looks
        self.orders = 0

    def submit(self, *_):
        self.orders += 1
        return _Future()

    def check(self):
        """Find the scheduler there."""

    def refresh(self, _stop):
        self.looks -= 1
        if self.looks != 2:
            raise EngineError("has no worker")

    def lost(self):
        return LineLostError("the connection was lost")


class _StartedAnew(_Connection):
    """One of two workers is for jobs, and has another address at each look."""

    def refresh(self, _stop):
        self.looks -= 1
        self.addresses = self.chosen = (f"tls://{self.looks}",)


@pytest.fixture(autouse=True)
def _ten_seconds_pass_at_each_look(monkeypatch):
    clock = iter(range(0, 10**6, 10))
    time = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    monkeypatch.setattr(module, "time", time)


def test_a_job_follows_a_worker_that_is_started_anew_but_not_for_ever():
    connection = _StartedAnew(looks=100)
    connection.chosen = ("tls://1",)

    with pytest.raises(FailedJobError, match="4 workers ended at it"):
        list(Dispatch(never).answers(connection, iter([Job("a.b", (), "a tile")])))

    assert connection.orders == 4


def test_when_no_worker_comes_back_the_line_counts_as_lost():
    connection = _Connection(looks=10)
    dispatch = Dispatch(never)
    job = Job("prediction.predict_tile", (), "a tile")

    with pytest.raises(LineLostError):
        list(dispatch.answers(connection, iter([job])))

    # Each look is 10 seconds later, and that at which one was there begins anew.
    assert connection.looks == 2 - 120 // 10 - 2
    assert dispatch.pending == [job]
