"""Kill a program that paints at one file operation after the other, and open again.

Run as a program: ``stroke_kill_points.py FOLDER EVERY`` kills at each EVERY-th
operation, before it and, where it writes, in the middle of it. Prints how many were
killed; fails when anything but the stroke that was being made is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from unet_engine.annotations import annotations as annotations_module
from unet_engine.annotations import stroke_log
from unet_engine.annotations.annotations import Annotations

SHAPE = (3, 300, 300)
ACTS = 30
_OPERATIONS = (
    "write", "fsync", "replace", "unlink", "mkdir", "ftruncate", "open", "close",
)  # fmt: skip


now = [0.0]
clock = SimpleNamespace(time=lambda: now[0])
"""In place of the module ``time``: when an act is made follows from its number."""


def state(notes: Annotations) -> tuple[Any, ...]:
    """Return all that can be read of annotations."""
    planes = b"".join(notes.target((z,)).tobytes() for z in range(SHAPE[0]))
    times = b"".join(notes.times((z,)).tobytes() for z in range(SHAPE[0]))
    return planes, times, notes.classes(), notes.conflicts, notes.planes()


def names_at(number: int) -> tuple[str, ...]:
    """Return the names that are given before an act of a number: now and then more."""
    return ("background", *(f"cell {n}" for n in range(2 + number // 3)))


def act(notes: Annotations, number: int) -> None:
    """Paint, undo and redo, always the same at a number and then."""
    now[0] = 1000.0 + number
    before = number - number % 5
    rng = np.random.default_rng(before if number % 5 in (3, 4) else number)
    corner = rng.integers(0, 230, 2)
    region = tuple(slice(int(c), int(c) + 50) for c in corner)
    index = (int(rng.integers(SHAPE[0])),)
    if number % 5 == 3:
        # Takes back the first stroke of the five.
        with notes.stroke("undo"):
            notes.accept(index, region, np.full((50, 50), 255, np.uint8))
    else:
        labels = rng.integers(0, 3, (50, 50)).astype(np.uint8)
        with notes.stroke("redo" if number % 5 == 4 else "stroke"):
            notes.accept(index, region, labels)


def reopens_after(number: int) -> bool:
    """Return whether the window is closed and opened after an act of a number."""
    return number % 7 == 0


def paint(folder: Path, done: int) -> None:
    """Make all acts, and print each that is made."""
    # Many generations, some of them begun while strokes are made.
    stroke_log.GROWN_BYTES = 4000
    notes = Annotations.open(folder, SHAPE)
    write = genuine["write"]
    for number in range(ACTS):
        notes.name_classes(names_at(number), {"name": f"model {number // 4}"})
        act(notes, number)
        write(done, b"x")
        if reopens_after(number):
            notes.close()
            notes = Annotations.open(folder, SHAPE)
    notes.close()


genuine = {name: getattr(os, name) for name in _OPERATIONS}


def kill_at(number: int, *, halfway: bool) -> None:
    """Kill this process at its operation of this number."""
    left = [number]

    def counting(name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                if halfway and name == "write":
                    handle, data = arguments
                    genuine["write"](handle, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return genuine[name](*arguments, **options)

        return call

    for name in _OPERATIONS:
        setattr(os, name, counting(name))


def in_child(folder: Path, number: int, *, halfway: bool) -> tuple[bool, int]:
    """Paint in a child; return whether it was killed, and the acts it had made."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        kill_at(number, halfway=halfway)
        paint(folder, writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        made = len(pipe.read())
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, f"painting failed with status {status}"
    return killed, made


def expected_states() -> list[tuple[Any, ...]]:
    """Return what was seen after each number of acts."""
    notes = Annotations(SHAPE)
    states = [state(notes)]
    for number in range(ACTS):
        act(notes, number)
        states.append(state(notes))
        if reopens_after(number):
            # What undo gives back is remembered until then.
            notes._blocks.forget_history()
    return states


def check(folder: Path, made: int, states: list[tuple[Any, ...]]) -> None:
    """Open what is left; every act that was made is there."""
    notes = Annotations.open(folder, SHAPE)
    found = state(notes)
    assert found in states[made : made + 2], (made, notes.recovery)
    assert notes.recovery.lost == 0, notes.recovery
    names = notes.painted.names
    if made:
        # The names given before the last act that was made, or before the next.
        assert names in (names_at(made - 1), names_at(min(made, ACTS - 1))), (
            made,
            names,
        )
        assert max(notes.classes(), default=0) < len(names)
    assert not notes.save_error
    assert len(list(folder.glob("*.strokes"))) <= 1, "no leftovers"
    # It goes on as if nothing had been.
    with notes.stroke():
        notes.accept((0,), (slice(0, 9), slice(0, 9)), np.full((9, 9), 2, np.uint8))
    after = state(notes)
    notes.close()
    notes = Annotations.open(folder, SHAPE)
    assert state(notes) == after
    assert not notes.recovery.cut
    notes.close()


def main(root: Path, every: int) -> None:
    """Kill at operation after operation."""
    annotations_module.time = clock
    states = expected_states()
    killed = number = 0
    folder = root / "killed"
    while True:
        was_killed, made = in_child(folder, number, halfway=number % 2 == 0)
        check(folder, made, states)
        shutil.rmtree(folder, ignore_errors=True)
        if not was_killed:
            assert made == ACTS
            break
        killed += 1
        number += every
    sys.stdout.write(str(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
