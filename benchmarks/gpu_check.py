"""Test and measure a device in a few minutes, and write a table of what was found.

::

    scripts/gpu-check --out FOLDER

Every part runs in processes of its own and has its share of the time; one that fails or
is late leaves a line about it, and what it had measured. The folder has
``gpu-check.md`` with the table, and for each part its figures and what it printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch

BENCHMARKS = Path(__file__).parent
ROOT = BENCHMARKS.parent
TESTED = ("compute", "prediction", "pixel_classification", "interactive", "training")
"""Folders of tests/engine in which a device computes."""
QUICKLY_TESTED = ("compute/test_runtime.py", "compute/test_gpu.py")
LARGEST_MS = 5.0
"""For a block of 512 x 512 pixels through the published U-Net."""
LEAST_SHARE = 0.6
"""Of the throughput of the whole image that a prediction from disk to disk has."""
TEST_PROCESSES = 12
"""At most: each has a context of its own on the GPU, of about half a gigabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A command, its share of the time, and where its figures are."""

    name: str
    title: str
    command: tuple[str, ...]
    share: float
    figures: str


def parts(arguments: argparse.Namespace) -> list[Part]:
    """Return what is done, in this order."""
    device, quick = f"--device={arguments.device}", arguments.quick
    edge = ("--edge=64", "--width=8") if quick else ("--edge=512",)
    minutes = f"--minutes={arguments.minutes * 0.15:.2f}"
    disk = ("--edge=512", "--whole=256", "--width=8") if quick else ()
    trained = ("--starts", "tuned", "--steps=4", "--images=1") if quick else ()
    trained = trained or ("--starts", "tuned", "strokes", f"--minutes={0.4}")
    methods = ("--methods", "exact", "whole") if quick else ()
    images = ("128x128",) if quick else ("512x512", "2048x2048", "32x256x256")
    benchmarks = [
        ("variants", "One network on a block", "network_variants", 0.2,
         (*edge, minutes, "--exact")),
        ("disk", "From disk to disk", "disk_to_disk", 0.15, disk),
        ("training", "Training", "training", 0.2, trained),
        ("inference", "Prediction beside others", "inference", 0.15,
         ("--images", *images, *methods, "--rounds=1")),
    ]  # fmt: skip
    return [
        Part(
            name="tests",
            title="Tests",
            command=_tests(arguments),
            share=0.3,
            figures="tests.xml",
        ),
        *(
            Part(
                name=name,
                title=title,
                command=(
                    str(BENCHMARKS / f"{script}.py"), device, *options,
                    f"--json={arguments.out / name}.json",
                ),
                share=share,
                figures=f"{name}.json",
            )
            for name, title, script, share, options in benchmarks
        ),
    ]  # fmt: skip


def _tests(arguments: argparse.Namespace) -> tuple[str, ...]:
    tested = QUICKLY_TESTED if arguments.quick else TESTED
    count = min(TEST_PROCESSES, os.cpu_count() or 1)
    # No plugin that the machine happens to have, and no workers elsewhere.
    plugins = ("xdist.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
    return (
        "-m", "pytest", *(str(ROOT / "tests" / "engine" / one) for one in tested),
        f"--rootdir={ROOT}", "--ignore-glob=*/remote/*", "-q", "--tb=short",
        f"--numprocesses={count}",
        *(f"-p{name}" for name in plugins), "-pno:cacheprovider",
        f"--junit-xml={arguments.out / 'tests.xml'}",
    )  # fmt: skip


def run(part: Part, seconds: float, arguments: argparse.Namespace) -> str:
    """Run a part; return what went wrong, or nothing."""
    environment = {
        **os.environ,
        "UNET_TEST_DEVICE": arguments.device,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (arguments.out / f"{part.name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, *part.command],
            cwd=arguments.out,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"ended after its {seconds:.0f} s"
        finally:
            _end(process)
    return f"ended with {status}, see {part.name}.log" if status else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with those that it started."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        return
    process.wait()


def figures(part: Part, folder: Path) -> list[dict[str, Any]]:
    """Return the rows that a part has measured so far."""
    path = folder / part.figures
    try:
        if path.suffix == ".xml":
            return [test_counts(path)]
        rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, ElementTree.ParseError):
        return []
    return rows


def test_counts(path: Path) -> dict[str, Any]:
    """Return how many tests passed, and the names of those that failed."""
    cases = ElementTree.parse(path).getroot().findall(".//testcase")
    failed = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {
        "passed": len(cases) - len(failed) - skipped,
        "skipped": skipped,
        "failed": len(failed),
        "which": " ".join(failed),
    }


def verdicts(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return a sentence for each figure that has an aim."""
    sentences = []
    times = [row["ms"] for row in found.get("variants", []) if "ms" in row]
    product = [
        row["ms"]
        for row in found.get("variants", [])
        if "ms" in row and row["variant"].startswith("product")
    ]
    if product:
        sentences.append(
            f"A block takes {min(product):.2f} ms, {min(times):.2f} ms at best; the "
            f"aim is {LARGEST_MS:g} ms: {_met(min(product) <= LARGEST_MS)}."
        )
    shares = [row["share"] for row in found.get("disk", [])]
    if shares:
        enough = _met(min(shares) >= LEAST_SHARE)
        sentences.append(
            f"From disk to disk it has {min(shares):.0%} of the throughput of the "
            f"whole image; the aim is {LEAST_SHARE:.0%}: {enough}."
        )
    return sentences


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows as a table of Markdown, with the columns of all of them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(
            f"| {' | '.join(_cell(row.get(name)) for name in columns)} |"
            for row in rows
        ),
    ]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name} {one}" for name, one in value.items())
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def machine(device: str) -> str:
    """Return in one line what was measured on."""
    words = [f"Python {platform.python_version()}", f"PyTorch {torch.__version__}"]
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        words += [
            f"CUDA {torch.version.cuda}",
            f"cuDNN {torch.backends.cudnn.version()}",
            f"{torch.cuda.device_count()} x {properties.name}",
            f"{properties.total_memory / 2**30:.0f} GB",
            f"compute capability {properties.major}.{properties.minor}",
        ]
    return ", ".join([*words, f"{os.cpu_count()} processors", platform.machine()])


def check(arguments: argparse.Namespace) -> bool:
    """Run all parts, writing the table after each; return whether all succeeded."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    started, total = time.monotonic(), 60 * arguments.minutes
    found: dict[str, list[dict[str, Any]]] = {}
    sections: list[str] = []
    succeeded = True
    for part in parts(arguments):
        left = total - (time.monotonic() - started)
        begun = time.monotonic()
        problem = run(part, min(part.share * total, left), arguments)
        found[part.name] = figures(part, arguments.out)
        took = f"{time.monotonic() - begun:.0f} s"
        sections += ["", f"## {part.title}", "", f"{problem or 'complete'} ({took})"]
        if found[part.name]:
            sections += ["", *table(found[part.name])]
        succeeded = succeeded and not problem
        text = [f"# {arguments.device}", "", machine(arguments.device), ""]
        # Small sizes have no aims.
        aims = ["Small sizes."] if arguments.quick else verdicts(found)
        text += [*aims, *sections, ""]
        (arguments.out / "gpu-check.md").write_text("\n".join(text), "utf-8")
        print(f"{part.name}: {problem or 'complete'} ({took})", flush=True)
    return succeeded


def main() -> None:
    """Read the command line and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of it")
    parser.add_argument("--quick", action="store_true", help="small, for a first try")
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    if (
        arguments.device != "cpu"
        and not getattr(torch, arguments.device).is_available()
    ):
        sys.exit(
            f"gpu-check: PyTorch {torch.__version__} finds no {arguments.device} here; "
            "--device cpu tries the script without one"
        )
    sys.exit(0 if check(arguments) else 1)


if __name__ == "__main__":
    main()
