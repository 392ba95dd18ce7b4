"""Make all pictures of the documents: ``python docs/pictures [NAME ...]``.

``python docs/pictures --states FOLDER`` draws every state of the dock instead, in all
sizes and themes and at both scales, for looking at.

Each script is a process of its own with models, strokes and settings of its own, so
that no picture depends on another one or on who makes it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = ("glands", "objects")
IMAGES = Path(__file__).parents[1] / "images"
_FOLDER = Path(__file__).parent
_SECONDS = 900
"""Longest that one script may take."""
_SCALES = ("1", "2")
"""What Qt multiplies pixels by: 100 and 200 %."""


def main(names: list[str]) -> int:
    """Run the named scripts, or all; return 1 when a picture was not made."""
    start = time.time()
    failed = [f"{name}.py failed" for name in names or SCRIPTS if not _run(name)]
    if not names:
        old = [path for path in IMAGES.iterdir() if path.stat().st_mtime < start]
        failed += [f"no script makes {path}" for path in sorted(old)]
    for line in failed:
        print(f"pictures: {line}", file=sys.stderr)
    return 1 if failed else 0


def draw_states(folder: str) -> int:
    """Draw every state of the dock into a folder; return 1 when one failed."""
    target = str(Path(folder).absolute())
    done = [_run("states", target, scale=scale) for scale in _SCALES]
    return 0 if all(done) else 1


def _run(name: str, *arguments: str, scale: str = "1") -> bool:
    """Run a script; one with arguments also gets a folder that does not last."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        folders = {
            f"NAPARI_UNET_{part}": str(Path(home, part.lower()))
            for part in ("MODELS", "STROKES", "CACHE")
        }
        # An empty NAPARI_CONFIG: default settings, and nothing of them saved.
        environment = {**os.environ, **folders, "NAPARI_CONFIG": ""}
        environment["QT_SCALE_FACTOR"] = scale
        # The window is drawn by the same cores as the network runs on: threads that
        # wait for one another take several times as long.
        environment["OMP_NUM_THREADS"] = "1"
        command = [sys.executable, "-W", "ignore", str(_FOLDER / f"{name}.py")]
        if arguments:
            work = Path(home, "images")
            work.mkdir()
            command += [*arguments, str(work)]
        try:
            done = subprocess.run(
                command, env=environment, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
    print(f"pictures: {name} in {time.monotonic() - start:.0f} s")
    return done.returncode == 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--states"] and len(sys.argv) == 3:
        sys.exit(draw_states(sys.argv[2]))
    sys.exit(main(sys.argv[1:]))
