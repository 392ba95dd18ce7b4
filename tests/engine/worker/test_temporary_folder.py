"""The folder of workers: what a killed one left goes when the next one starts."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from unet_engine.worker.temporary_folder import temporary_folder

LEFT = """
import os, signal
from pathlib import Path
from unet_engine.worker.temporary_folder import temporary_folder
with temporary_folder() as folder:
    Path(folder, "pixels").write_bytes(bytes(10))
    print(folder, flush=True)
    if {killed}:
        os.kill(os.getpid(), signal.SIGKILL)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def started(*, killed: bool) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT.format(killed=killed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_a_killed_process_left_is_removed(temporary: Path):
    process, left = started(killed=True)
    process.communicate()
    assert (left / "pixels").is_file()
    with temporary_folder() as folder:
        assert list(temporary.iterdir()) == [Path(folder)]
    assert not any(temporary.iterdir())


def test_that_of_a_process_that_runs_stays(temporary: Path):
    process, there = started(killed=False)
    with temporary_folder():
        assert (there / "pixels").is_file()
    process.communicate("\n")
    assert not any(temporary.iterdir())


@pytest.mark.parametrize(
    "name", ["napari-unet-worker-elsewhere-999999999-abc", "other-999999999-abc"]
)
def test_folders_of_others_stay(temporary: Path, name: str):
    (temporary / name).mkdir()
    with temporary_folder():
        pass
    assert (temporary / name).is_dir()
