"""Damage model files and packages, and send rubbish to a worker, for minutes.

::

    python benchmarks/fuzz.py files --minutes 3 --seed 1
    python benchmarks/fuzz.py port --minutes 3 --seed 1 --json port.json

A fault is whatever is no single clear line: a traceback, also on the side of the
worker, a trial of more than 30 s, a process that ends, more memory than the bound, a
forged package that is taken, an answer to who has no token, and a program in a file
that is run. Each is printed with its number, by which ``--from`` repeats it. The exit
code is 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzzing.watched import Crashed, FilesProcess, PortProcess

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Tally:
    """What was tried.

    Attributes
    ----------
    tried, refused
        Trials, by their kinds.
    faults
        What must not be, with the number of the trial.
    longest_s
        Seconds of the longest trial.
    grown_mb
        By how much the memory of what was tried grew at most.
    """

    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    grown_mb: float = 0.0

    def show(self, faults_before: int) -> None:
        """Print faults that are new."""
        for fault in self.faults[faults_before:]:
            print(f"FAULT {fault}", flush=True)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "tried": dict(self.tried),
            "refused": dict(self.refused),
            "faults": self.faults,
            "longest_s": round(self.longest_s, 2),
            "grown_mb": round(self.grown_mb),
        }


def main() -> int:
    """Try for a while, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("files", "port"), help="what is tried")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of all that is made")
    parser.add_argument("--from", type=int, default=0, dest="first", help="trial")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="unet-fuzz-") as folder:
        start: Callable[[], FilesProcess | PortProcess] = {
            "files": lambda: FilesProcess(Path(folder)),
            "port": lambda: PortProcess(Path(folder)),
        }[options.what]
        tally = run(start, options.minutes, options.seed, options.first)
    figures = {"what": options.what, "seed": options.seed, **tally.to_dict()}
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if tally.faults else 0


def run(
    start: Callable[[], FilesProcess | PortProcess],
    minutes: float,
    seed: int,
    first: int,
) -> Tally:
    """Try until the time is over; what ended is started again."""
    tally, number = Tally(), first
    process = start()
    until = time.monotonic() + 60 * minutes
    try:
        while time.monotonic() < until:
            kind = process.kinds[number % len(process.kinds)]
            before = len(tally.faults)
            begun = time.monotonic()
            try:
                outcome = process.trial(kind, f"{seed}:{number}")
            except Crashed as error:
                tally.faults.append(f"{number} {kind}: {error}")
                process.close()
                process = start()
            else:
                tally.refused[kind] += bool(outcome.refused)
                if outcome.fault:
                    tally.faults.append(f"{number} {kind}: {outcome.fault}")
            tally.tried[kind] += 1
            tally.longest_s = max(tally.longest_s, time.monotonic() - begun)
            tally.grown_mb = max(tally.grown_mb, process.grown_mb)
            tally.show(before)
            number += 1
    finally:
        process.close()
    return tally


if __name__ == "__main__":
    sys.exit(main())
