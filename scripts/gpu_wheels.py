"""Download what a CUDA machine without network needs: ``gpu_wheels.py FOLDER``.

The wheels are those of Python 3.12 on Linux, x86-64. PyTorch with what it requires is
there already, and so are the large packages in ``PRESENT``: every image for scientific
computing has them. ``--all`` downloads these as well.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "scripts" / "constraints.txt"
TORCH = ("torch", "torchvision")
"""The machine has them; nothing else that is required here requires them."""
FOR_TESTS = (
    "dask", "hypothesis", "pycocotools", "pytest",
    "pytest-timeout", "pytest-xdist", "shapely", "yaozarrs",
)  # fmt: skip
"""Of the extra ``test``, what the tests of the engine import."""
NOT_TESTED = ("imagecodecs", "magicgui", "psygnal", "pyqtgraph", "qtpy")
"""Requirements of the plugin, and of formats of files, for which no GPU is needed."""
PRESENT = (
    "matplotlib", "numpy", "pandas", "pillow", "pyarrow", "scikit-image",
    "scikit-learn", "scipy",
)  # fmt: skip
"""Packages of 5 MiB and more that the machine has."""
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (17, 24, 27, 28)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux1_x86_64"]
LIMIT_MIB = 64
"""What can be sent to such a machine at once."""


def requirements() -> list[str]:
    """Return what the engine and its tests require, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tests = [
        line
        for line in project["optional-dependencies"]["test"]
        if _name(line) in FOR_TESTS
    ]
    others = (*TORCH, *NOT_TESTED)
    engine = [line for line in project["dependencies"] if _name(line) not in others]
    return [*engine, *tests]


def resolved() -> dict[str, str]:
    """Return the versions of all packages that are required, by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        _pip(
            "install", "--dry-run", "--ignore-installed", f"--target={folder}/none",
            f"--report={report}", f"--constraint={CONSTRAINTS}", *requirements(),
        )  # fmt: skip
        found = json.loads(report.read_text("utf-8"))["install"]
    metadata = [package["metadata"] for package in found]
    return {_name(one["name"]): one["version"] for one in metadata}


def download(folder: Path, without: Sequence[str]) -> list[str]:
    """Download the wheels; return the names of the packages that are left out."""
    versions = resolved()
    left_out = set(without) & set(versions)
    wanted = [f"{n}=={v}" for n, v in versions.items() if n not in left_out]
    folder.mkdir(parents=True, exist_ok=True)
    # The folder is for wheels only; nothing in it is found by git.
    (folder / ".gitignore").write_text("*\n")
    _pip("download", "--no-deps", f"--dest={folder}", *wanted)
    return sorted([*TORCH, *left_out])


def _pip(command: str, *arguments: str) -> None:
    platforms = [f"--platform={name}" for name in PLATFORMS]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            command,
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
            "--python-version=3.12",
            "--implementation=cp",
            *platforms,
            *arguments,
        ],
        check=True,
    )


def _name(requirement: str) -> str:
    """Return the name of a requirement or package as packaging normalises it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def main() -> None:
    """Read the command line, download, and state what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--requirements", action="store_true", help="print them only")
    parser.add_argument("--all", action="store_true", help="also what is there")
    parser.add_argument("--without", nargs="+", default=[], help="leave these out, too")
    arguments = parser.parse_args()
    if arguments.requirements:
        sys.stdout.write("\n".join(requirements()) + "\n")
        return
    if arguments.folder is None:
        parser.error("name the folder to download to")
    try:
        present = () if arguments.all else PRESENT
        left_out = download(arguments.folder, [*present, *arguments.without])
    except subprocess.CalledProcessError as error:
        sys.exit(f"gpu-check: pip could not download the wheels ({error.returncode})")
    wheels = sorted(arguments.folder.glob("*.whl"))
    size = sum(wheel.stat().st_size for wheel in wheels) / 2**20
    sys.stdout.write(
        f"{len(wheels)} wheels in {arguments.folder}, {size:.1f} MiB. "
        f"The machine must have: {', '.join(left_out)}\n"
    )
    if size > LIMIT_MIB:
        sys.exit(f"gpu-check: that is more than {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
