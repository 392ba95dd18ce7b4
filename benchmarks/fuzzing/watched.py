"""Processes in which trials are made, or that are tried, with bounds on both."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import psutil

from fuzzing import port
from fuzzing.trial import Outcome
from unet_engine.devices import checked_device
from unet_engine.remote.credentials import new_token

TRIAL_S = 30.0
"""Seconds of a trial from which on it counts as hung."""

_START_S = 180.0
"""Seconds in which libraries are read and the first package is made."""

_BOUND_MB = 1024.0
"""Megabytes by which the memory may grow; the largest file that is tried, a bomb of
128 MB, is in it several times."""

_ADDRESSES_BYTES = 2**35
"""That a process may have: what asks for more gets a MemoryError, and this machine goes
on."""

_MB = 2**20
"""Bytes in a unit of the figures."""


class Crashed(Exception):
    """A process ended, hung or grew."""


class FilesProcess:
    """A process that makes trials of files, one by one.

    Parameters
    ----------
    folder
        In which it makes one of its own.

    Attributes
    ----------
    kinds
        Of its trials.
    grown_mb
        By how much its memory grew at most, in megabytes.
    """

    def __init__(self, folder: Path) -> None:
        self.kinds: tuple[str, ...] = ()
        self.grown_mb = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.watched", tempfile.mkdtemp(dir=folder)],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "BIOIMAGEIO_CACHE_PATH": str(folder / "cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: SimpleQueue[str] = SimpleQueue()
        Thread(target=self._read, daemon=True).start()
        self.kinds = tuple(self._answer(_START_S)["kinds"])

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _answer(self, seconds: float) -> Any:
        try:
            line = self._lines.get(timeout=seconds)
        except Empty:
            raise Crashed(f"it hung for {seconds:.0f} s") from None
        if not line:
            raise Crashed(f"the process ended with {self._process.wait()}")
        return json.loads(line)

    def trial(self, kind: str, seed: str) -> Outcome:
        """Make one trial.

        Raises
        ------
        Crashed
            When it hangs, ends or needs too much memory.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, seed]) + "\n")
        self._process.stdin.flush()
        answer = self._answer(TRIAL_S)
        self.grown_mb = answer["grown_mb"]
        if self.grown_mb > _BOUND_MB:
            raise Crashed(f"the memory grew by {self.grown_mb:.0f} MB")
        return Outcome(refused=answer["refused"], fault=answer["fault"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class PortProcess:
    """A worker on this machine, and what it writes and needs while its port is tried.

    Parameters
    ----------
    folder
        For what it writes.

    Attributes
    ----------
    kinds, grown_mb
        As of ``FilesProcess``.
    """

    def __init__(self, folder: Path) -> None:
        self.kinds = tuple(port.KINDS)
        self.grown_mb = 0.0
        token = new_token()
        self._log = folder / "worker.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unet_engine.worker", "1"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{token}\n")
        self._process.stdin.flush()
        place = json.loads(self._process.stdout.readline())["port"]
        self._trials = port.PortTrials(
            checked_device(f"tcp://{token}@127.0.0.1:{place}")
        )
        self._trials.lets_in()
        self._before = self._memory()
        self._read = 0

    def _memory(self) -> float:
        root = psutil.Process(self._process.pid)
        # A process may end between the two.
        found = 0.0
        for process in (root, *root.children(recursive=True)):
            try:
                found += process.memory_info().rss / _MB
            except psutil.NoSuchProcess:
                continue
        return found

    def trial(self, kind: str, seed: str) -> Outcome:
        """Make one trial.

        Raises
        ------
        Crashed
            When the worker ends or needs too much memory.
        """
        found = port.KINDS[kind](self._trials, random.Random(seed))
        if self._process.poll() is not None:
            raise Crashed(f"the worker ended with {self._process.returncode}")
        self.grown_mb = max(self.grown_mb, self._memory() - self._before)
        if self.grown_mb > _BOUND_MB:
            raise Crashed(f"the memory of the worker grew by {self.grown_mb:.0f} MB")
        written = self._log.read_text("utf-8", "replace")[self._read :]
        self._read += len(written)
        if "Traceback" in written and kind not in port.KNOWS_TOKEN:
            return Outcome(fault=f"the worker wrote {written.strip()[-300:]!r}")
        return found

    def close(self) -> None:
        """End the worker, whose standard input ends it."""
        try:
            self._process.communicate(timeout=TRIAL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _peak_mb() -> float:
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / _MB)
    import resource

    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / (1024 if sys.platform == "linux" else _MB))


def _limit_addresses() -> None:
    if sys.platform != "linux":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES_BYTES, most))


def _serve(folder: Path) -> None:
    """Make the trials that arrive as lines of standard input."""
    from fuzzing.files import KINDS, FileTrials

    answers = sys.stdout
    # Whatever libraries print is no answer.
    sys.stdout = sys.stderr
    trials = FileTrials(folder)
    for kind in KINDS.values():
        kind(trials, random.Random(0))
    _limit_addresses()
    before = _peak_mb()
    print(json.dumps({"kinds": list(KINDS)}), file=answers, flush=True)
    for line in sys.stdin:
        kind, seed = json.loads(line)
        found = KINDS[kind](trials, random.Random(seed))
        grown = _peak_mb() - before
        answer = {"refused": found.refused, "fault": found.fault, "grown_mb": grown}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
