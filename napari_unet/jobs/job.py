"""Run an engine generator in a thread; its events arrive on the main thread.

A plain thread and a polling timer, not a superqt worker: that one swallows every
``RuntimeError`` (which is what torch raises) without a signal, and replaces the
process-wide warning filters for as long as a training lasts. Here nothing of Qt is
touched off the main thread, and the poll throttles by construction.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, QTimer

from unet_engine.errors import Cancelled, EngineError
from unet_engine.llvm import keep_triton_out

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from unet_engine.stopping import Stop

log = logging.getLogger(__name__)

POLL_MS = 30
"""Milliseconds between two polls of the queue; one that is empty costs nothing."""

BATCH = 512
"""Most events in a delivery, so that the window is not held up for long."""

_running: set[Job] = set()


def _ignore(*_: Any) -> None:
    """Drop what no handler takes."""


def _at_once() -> bool:
    """Deliver without delay."""
    return False


class Job(QObject):
    """A run in a thread; made by `run`. All its handlers are called on the main thread.

    Attributes
    ----------
    running
        True until ``on_finished`` was called.
    stopping
        True once `stop` or `discard` was called.
    """

    def __init__(
        self,
        target: Callable[[Stop], Generator[Any, None, Any]],
        handlers: dict[str, Callable[..., None]],
        *,
        parent: QObject | None,
        hold: Callable[[], bool],
    ) -> None:
        super().__init__(parent)
        self._handlers = handlers
        self._hold = hold
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._outcome: tuple[str, Any] | None = None
        self.running = True
        self._thread = threading.Thread(
            target=_drain,
            args=(target, self._stop, self._abandoned, self._queue),
            name="napari-unet",
        )
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._deliver)
        # Without its parent there is no handler any more; the thread must not go on.
        self.destroyed.connect(self._stop.set)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._stop.set)

    @property
    def stopping(self) -> bool:
        """Whether the end was requested."""
        return self._stop.is_set()

    def start(self) -> None:
        """Start the thread."""
        _running.add(self)
        self._thread.start()
        self._timer.start()

    def stop(self) -> None:
        """Request the end; the result so far still arrives."""
        self._stop.set()

    def discard(self) -> None:
        """Request the end and drop what still arrives; ``on_finished`` is called."""
        self._stop.set()
        self._hold = _at_once
        for name in ("on_events", "on_result", "on_error"):
            self._handlers[name] = _ignore

    def abandon(self) -> None:
        """Discard it, and have nothing done any more after the next event."""
        self._abandoned.set()
        self.discard()

    def wait(self, seconds: float) -> bool:
        """Block until the thread ended, at most ``seconds``; return whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _deliver(self) -> None:
        if self._hold():
            return
        events = self._take()
        try:
            if events:
                self._handlers["on_events"](events)
            if self._outcome is not None:
                name, value = self._outcome
                self._handlers[name](value)
        except Exception as error:
            log.exception("a handler failed")
            self._stop.set()
            self._handlers["on_error"](error)
            self.discard()
        finally:
            if self._outcome is not None:
                self._finish()

    def _take(self) -> list[Any]:
        events: list[Any] = []
        while len(events) < BATCH:
            try:
                kind, value = self._queue.get_nowait()
            except Empty:
                break
            if kind == "on_events":
                events.append(value)
            else:
                self._outcome = (kind, value)
        return events

    def _finish(self) -> None:
        self._timer.stop()
        self._thread.join()
        self.running = False
        _running.discard(self)
        try:
            self._handlers["on_finished"]()
        finally:
            self.deleteLater()


def run(
    target: Callable[[Stop], Generator[Any, None, Any]],
    *,
    parent: QObject | None = None,
    hold: Callable[[], bool] = _at_once,
    on_events: Callable[[list[Any]], None] = _ignore,
    on_result: Callable[[Any], None] = _ignore,
    on_error: Callable[[Exception], None] = _ignore,
    on_finished: Callable[[], None] = _ignore,
) -> Job:
    """Drain ``target(stop)`` in a thread.

    Parameters
    ----------
    target
        Called in the thread; its generator yields events and returns the result.
        ``stop`` is what it polls.
    parent
        When this object is destroyed the run stops and nothing is delivered.
    hold
        Called before every delivery; while it returns True all of them wait.
    on_events
        Gets what was yielded since the last call, a few times a second.
    on_result
        Gets what the generator returned.
    on_error
        Gets what was raised, a ``RuntimeError`` too.
    on_finished
        Called last, whatever happened; the place to give buttons back.
    """
    handlers: dict[str, Callable[..., None]] = {
        "on_events": on_events,
        "on_result": on_result,
        "on_error": on_error,
        "on_stopped": _ignore,
        "on_finished": on_finished,
    }
    job = Job(target, handlers, parent=parent, hold=hold)
    job.start()
    return job


def describe_error(error: Exception) -> str:
    """Return an error as a sentence for the user."""
    if isinstance(error, EngineError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def stop_all(seconds: float) -> bool:
    """Stop every run and wait for the threads; return whether all ended in time."""
    jobs = tuple(_running)
    for job in jobs:
        job.discard()
    ended = [job.wait(seconds) for job in jobs]
    return all(ended)


def _drain(
    target: Callable[[Stop], Generator[Any, None, Any]],
    stop: threading.Event,
    abandoned: threading.Event,
    queue: SimpleQueue[Any],
) -> None:
    try:
        generator = target(stop.is_set)
        while True:
            try:
                event = next(generator)
            except StopIteration as end:
                queue.put(("on_result", end.value))
                return
            if abandoned.is_set():
                generator.close()
                queue.put(("on_result", None))
                return
            queue.put(("on_events", event))
    except Exception as error:
        if isinstance(error, Cancelled) and stop.is_set():
            # Who stopped it knows.
            queue.put(("on_stopped", None))
            return
        log.info("the run failed", exc_info=True)
        queue.put(("on_error", error))


def load_torch() -> None:
    """Map torch's libraries without holding the interpreter lock.

    An ``import torch`` in a thread holds the lock while the dynamic loader reads some
    hundred megabytes, and the window is frozen meanwhile. A foreign call to ``dlopen``
    releases it; the import then finds the libraries loaded. Windows builds of torch
    load theirs by foreign calls anyway. Call it off the main thread, and before every
    run: by now a window may draw with an LLVM that triton must not meet.
    """
    keep_triton_out()
    if "torch" in sys.modules or sys.platform == "win32":
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for name, scope in (
        ("libtorch_global_deps", ctypes.RTLD_GLOBAL),
        ("libtorch_python", ctypes.RTLD_LOCAL),
    ):
        library = Path(spec.origin).parent / "lib" / f"{name}{suffix}"
        dlopen(str(library).encode(), scope | _RTLD_NOW)


_RTLD_NOW = 2
"""Flag of ``dlopen`` on Linux and macOS: resolve all symbols at once."""


def warm_up() -> None:
    """Import torch in a thread, so that the first run does not wait for it."""
    threading.Thread(target=_import_torch, name="napari-unet-warm-up").start()


def _import_torch() -> None:
    try:
        load_torch()
        importlib.import_module("torch")
    except Exception:
        # The run that needs it will report what is wrong.
        log.info("torch cannot be imported", exc_info=True)
