"""A line that broke is let go of, however long it takes to close."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from distributed.comm import CommClosedError

from unet_engine.errors import EngineError
from unet_engine.remote.connection import Connection, LineLostError, WorkerInfo
from unet_engine.stopping import never


class _Stuck:
    """A client that does not close in time."""

    def close(self, timeout: float) -> Any:
        raise TimeoutError(f"timed out after {timeout} s.")


def test_a_line_that_does_not_close_in_time_is_let_go_of():
    Connection("tcp://127.0.0.1:1", _Stuck()).close()


class _Answers:
    """A client whose only worker answers with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, *_: Any, **__: Any) -> dict[str, Exception]:
        return {"worker": self._error}


@pytest.mark.parametrize(
    ("error", "is_line"),
    [(CommClosedError("in <TLS>: Stream is closed"), True),
     (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
     (TimeoutError("timed out"), True),
     (OSError(errno.ENOSPC, "No space left on device"), False),
     (PermissionError(errno.EACCES, "Permission denied"), False)],
)  # fmt: skip
def test_a_fault_of_the_disk_of_a_worker_is_no_broken_line(monkeypatch, error, is_line):
    line = Connection("tcp://gpu:8786", _Answers(error))
    monkeypatch.setattr(line, "wait", lambda answers, _stop: answers)

    with pytest.raises(EngineError) as caught:
        line.ask("blobs.size", stop=never, workers=["worker"])

    assert isinstance(caught.value, LineLostError) is is_line
    assert is_line or error.strerror in str(caught.value)


def test_jobs_are_for_some_workers_only_while_there_are_others():
    line = Connection("tcp://gpu:8786", _Answers(OSError()))
    gpu, cpu = WorkerInfo("tls://1", "1", "cuda"), WorkerInfo("tls://2", "1", "cpu")
    line.workers, line._known = (gpu,), {"tls://1": gpu}
    assert line.chosen is None
    line._known = {"tls://1": gpu, "tls://2": cpu}
    assert line.chosen == ["tls://1"]
    # All ended: whichever is started anew may have it.
    line._known = {}
    assert line.chosen is None
