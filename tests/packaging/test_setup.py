"""``scripts/setup`` keeps the Python that an environment was made with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a script of bash"),
]


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout whose environment counts installations instead of making them.

    ``other/python3.11`` beside it is first on the path, and reports version 3.99.
    """
    for name in "scripts/setup", "scripts/constraints.txt", "pyproject.toml":
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "napari.yaml").write_text("name: none\n", encoding="utf-8")
    real = f'exec "{sys.executable}" "$@"'
    executable(
        tmp_path / ".venv/bin/python",
        f'case "$*" in "-m pip"*) echo "$*" >> installed.txt ;; *) {real} ;; esac',
    )
    custom = tmp_path / "other/sitecustomize.py"
    custom.parent.mkdir()
    custom.write_text("import sys\nsys.version_info = (3, 99, 0)\n", encoding="utf-8")
    executable(tmp_path / "other/python3.11", f'PYTHONPATH="{custom.parent}" {real}')
    return tmp_path


def setup(checkout: Path, python: str | None = None) -> int:
    """Run ``scripts/setup`` and return how often something was installed so far."""
    environment = dict(os.environ)
    environment.pop("PYTHON", None)
    environment.pop("PYTHONPATH", None)
    environment["PATH"] = f"{checkout / 'other'}:{environment['PATH']}"
    if python is not None:
        environment["PYTHON"] = python
    script = ["bash", str(checkout / "scripts/setup")]
    done = subprocess.run(
        script, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (checkout / "installed.txt").read_text(encoding="utf-8").count("install")


def test_an_environment_keeps_its_python(checkout: Path) -> None:
    assert setup(checkout, sys.executable) == 1
    # Another Python comes first on the path, and nothing is installed again.
    assert setup(checkout) == 1


def test_another_python_makes_another_environment(checkout: Path) -> None:
    assert setup(checkout, sys.executable) == 1
    wanted = executable(
        checkout / "asked/python",
        # Making the environment anew is noted, and leaves what is there.
        'case "$*" in "-m venv"*) echo "install anew" >> installed.txt;'
        "mkdir -p .venv/bin; cp kept .venv/bin/python;;"
        f'*) exec "{checkout}/other/python3.11" "$@" ;; esac',
    )
    shutil.copy(checkout / ".venv/bin/python", checkout / "kept")
    assert setup(checkout, str(wanted)) == 3
