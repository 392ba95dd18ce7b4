"""Fresh environments without a network: they see packages of the one that runs this."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **variables: str) -> str:
    """Run a command away from the checkout; return what it printed."""
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=Path(sys.prefix),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a wheel or sdist and return the one file that came of it."""
    run(sys.executable, "-m", "build", "-n", f"--{kind}", "-o", folder, source)
    (built,) = folder.iterdir()
    return built


def everything() -> set[Path]:
    """Return the files of all installed packages but this project's."""
    ours = ("napari_unet", "_napari_unet", "_editable_impl_napari_unet", "unet_engine")
    packages = Path(sysconfig.get_path("purelib")).iterdir()
    return {p for p in packages if not p.name.startswith(ours) and p.suffix != ".pth"}


def files_of(distributions: Iterable[str]) -> set[Path]:
    """Return the files and folders that distributions have in site-packages."""
    packages = Path(sysconfig.get_path("purelib"))
    tops = {
        f.parts[0] for name in distributions for f in distribution(name).files or []
    }
    return {packages / top for top in tops if top != ".." and (packages / top).exists()}


def fresh_environment(
    folder: Path, visible: Iterable[Path], *install: str | Path
) -> Path:
    """Make an environment with some files, install into it, return its Python."""
    links = folder / "links"
    links.mkdir()
    for path in visible:
        (links / path.name).symlink_to(path)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "environment")
    python = folder / "environment" / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", code).strip())
    (packages / "links.pth").write_text(f"{links}\n")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *install)
    return python
