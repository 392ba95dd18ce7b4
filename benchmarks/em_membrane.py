"""Learn membranes from electron microscopy within minutes, on a CPU.

::

    python benchmarks/em_membrane.py --data ../shared/data --minutes 15

Trains a fresh model on the first 17 slices of the ISBI 2012 stack (Arganda-Carreras et
al. 2015) with the command ``napari-unet finetune`` and measures it on the other slices
with ``napari-unet evaluate``: what a user would type, with its defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

SET = "em_isbi2012_membrane"
TRAINED, MEASURED = "0:17", "17:23"


def napari_unet(models: str, threads: int, *arguments: str) -> str:
    """Run the command with its own folder of models and return its output."""
    environment = os.environ | {"NAPARI_UNET_MODELS": models}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [Path(sysconfig.get_path("scripts"), "napari-unet"), *arguments]
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def measure(data: Path, minutes: float, threads: int) -> dict[str, Any]:
    """Train and evaluate; return the figures and what they took."""
    folders = ["--images", str(data / "images"), "--labels", str(data / "labels")]
    with tempfile.TemporaryDirectory() as models:
        started = time.perf_counter()
        napari_unet(
            models,
            threads,
            *("finetune", *folders, "--range", TRAINED),
            *("--out", "em", "--minutes", str(minutes), "--device", "cpu"),
        )
        seconds = time.perf_counter() - started
        found = napari_unet(
            models,
            threads,
            *("evaluate", *folders, "--range", MEASURED),
            *("--model", "em", "--device", "cpu", "--json"),
        )
    return {"minutes": minutes, "seconds": round(seconds, 1), **json.loads(found)}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if not (arguments.data / SET / "images").is_dir():
        parser.exit(
            1,
            f"{arguments.data / SET} is absent: this benchmark needs the slices and "
            "labels of the ISBI 2012 stack; name their parent folder with --data\n",
        )
    figures = measure(arguments.data / SET, arguments.minutes, arguments.threads)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
