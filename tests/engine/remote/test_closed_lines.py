"""A line that broke is let go of, however long it takes to close."""

from __future__ import annotations

from typing import Any

from unet_engine.remote.connection import Connection


class _Stuck:
    """A client that does not close in time."""

    def close(self, timeout: float) -> Any:
        raise TimeoutError(f"timed out after {timeout} s.")


def test_a_line_that_does_not_close_in_time_is_let_go_of():
    Connection("tcp://127.0.0.1:1", _Stuck()).close()
