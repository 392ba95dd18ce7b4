"""Runs in a thread: what arrives, in which order, and what never gets stuck."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import QObject, QThread

from napari_unet.jobs import job as _jobs
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytestqt.qtbot import QtBot


class Received:
    """What a run delivered, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.threads: set[Any] = set()

    def handlers(self) -> dict[str, Callable[..., None]]:
        def record(name: str) -> Callable[..., None]:
            def handler(*args: Any) -> None:
                self.threads.add(QThread.currentThread())
                self.calls.append((name, args[0] if args else None))

            return handler

        names = ("on_events", "on_result", "on_error", "on_finished")
        return {name: record(name) for name in names}

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls if name != "on_events"]

    @property
    def events(self) -> list[Any]:
        return [e for name, batch in self.calls if name == "on_events" for e in batch]


def count_to(most: int) -> Callable[..., Generator[int, None, str]]:
    def target(stop: Callable[[], bool]) -> Generator[int, None, str]:
        for number in range(most):
            if stop():
                return "stopped"
            yield number
        return "done"

    return target


def forever(stop: Callable[[], bool]) -> Generator[int, None, str]:
    number = 0
    while not stop():
        time.sleep(0.002)
        yield number
        number += 1
    return "the best so far"


@pytest.fixture
def parent(qtbot: QtBot) -> QObject:
    return QObject()


def wait_for(job: _jobs.Job, qtbot: QtBot) -> None:
    finished = threading.Event()
    inner = job._handlers["on_finished"]
    job._handlers["on_finished"] = lambda: (inner(), finished.set())
    qtbot.waitUntil(finished.is_set, timeout=20_000)


def test_events_then_result_then_finished_on_the_main_thread(
    qtbot: QtBot, parent: QObject
) -> None:
    received = Received()
    wait_for(_jobs.run(count_to(1500), parent=parent, **received.handlers()), qtbot)
    assert received.events == list(range(1500))
    assert received.names == ["on_result", "on_finished"]
    assert ("on_result", "done") in received.calls
    assert received.threads == {QThread.currentThread()}
    assert len(received.calls) < 100, "events come in batches"


def test_the_job_works_off_the_main_thread(qtbot: QtBot, parent: QObject) -> None:
    idents: list[int] = []

    def target(stop: Any) -> Generator[None, None, None]:
        idents.append(threading.get_ident())
        yield

    wait_for(_jobs.run(target, parent=parent), qtbot)
    assert idents
    assert threading.get_ident() not in idents


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), DataError("bad"), MemoryError("no")]
)
def test_every_error_arrives_a_runtime_error_too(
    qtbot: QtBot, parent: QObject, error: Exception
) -> None:
    def target(stop: Any) -> Generator[int, None, None]:
        yield 1
        raise error

    received = Received()
    wait_for(_jobs.run(target, parent=parent, **received.handlers()), qtbot)
    assert received.names == ["on_error", "on_finished"]
    assert ("on_error", error) in received.calls


def test_an_error_before_the_first_event_arrives(qtbot: QtBot, parent: QObject) -> None:
    def target(stop: Any) -> Generator[int, None, None]:
        raise RuntimeError("at once")

    received = Received()
    wait_for(_jobs.run(target, parent=parent, **received.handlers()), qtbot)
    assert received.names == ["on_error", "on_finished"]


def test_stop_returns_the_result_so_far(qtbot: QtBot, parent: QObject) -> None:
    received = Received()
    job = _jobs.run(forever, parent=parent, **received.handlers())
    qtbot.waitUntil(lambda: bool(received.events))
    job.stop()
    wait_for(job, qtbot)
    assert ("on_result", "the best so far") in received.calls


def test_discard_drops_the_result_and_still_finishes(
    qtbot: QtBot, parent: QObject
) -> None:
    received = Received()
    job = _jobs.run(forever, parent=parent, **received.handlers())
    job.discard()
    wait_for(job, qtbot)
    assert received.calls == [("on_finished", None)]


def test_a_fault_in_a_handler_still_finishes(qtbot: QtBot, parent: QObject) -> None:
    received = Received()
    handlers = received.handlers()

    def fail(_: Any) -> None:
        raise ValueError("layer is gone")

    handlers["on_events"] = fail
    wait_for(_jobs.run(forever, parent=parent, **handlers), qtbot)
    assert received.names == ["on_error", "on_finished"]


def test_a_run_ends_with_its_parent(qtbot: QtBot) -> None:
    received = Received()
    parent = QObject()
    job = _jobs.run(forever, parent=parent, **received.handlers())
    thread = job._thread
    parent.deleteLater()
    del job
    qtbot.waitUntil(lambda: not thread.is_alive(), timeout=5000)
    assert "on_result" not in received.names


def test_messages_for_people() -> None:
    assert _jobs.describe_error(DataError("crop it")) == "crop it"
    assert _jobs.describe_error(KeyError("x")) == "KeyError: 'x'"
