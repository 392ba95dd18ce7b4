"""One program at a time writes to a folder: strokes and runs to disk."""

import errno
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.files.locking import FolderLock
from unet_engine.images.formats import UNFINISHED
from unet_engine.prediction.finished_tiles import FinishedTiles

SHAPE = (64, 64)

_HOLD = """
import sys
from pathlib import Path
from unet_engine.files.locking import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder):
    """Hold the lock of a folder in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def holder(tmp_path):
    """Hold the lock of ``tmp_path`` in another process."""
    with held(tmp_path) as process:
        yield process


def test_a_folder_in_use_names_the_process_that_uses_it(holder, tmp_path):
    with pytest.raises(BlockingIOError) as refused:
        FolderLock(tmp_path)
    pattern = rf"process {holder.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d"
    assert re.fullmatch(pattern, refused.value.strerror)
    holder.communicate("")
    FolderLock(tmp_path).release()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_process_that_was_killed_leaves_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = FolderLock(tmp_path)
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()


@pytest.mark.parametrize("content", [b"", b"\0{", b"\0[1]", b"\0{}"])
def test_a_holder_that_cannot_be_read_is_another_process(tmp_path, content):
    lock = FolderLock(tmp_path)
    (tmp_path / ".lock").write_bytes(content)
    with pytest.raises(BlockingIOError, match="another process"):
        FolderLock(tmp_path)
    lock.release()


def test_a_lock_that_nobody_holds_any_more_is_let_go(tmp_path):
    lock = FolderLock(tmp_path)
    del lock
    FolderLock(tmp_path).release()


def paint(notes, label=1):
    notes.accept((), (slice(0, 9), slice(0, 9)), np.full((9, 9), label, np.uint8))


def test_strokes_name_the_process_that_has_their_folder(holder, tmp_path):
    notes = Annotations.open(tmp_path, SHAPE)
    paint(notes)
    assert f"Another window works on this image (process {holder.pid} on " in (
        notes.save_error
    )
    holder.communicate("")
    # As advised: the other is closed, the image opened again.
    again = Annotations.open(tmp_path, SHAPE)
    paint(again)
    assert again.save_error == ""
    again.close()


def test_a_run_names_the_process_that_writes_to_its_folder(tmp_path):
    folder = tmp_path / UNFINISHED
    folder.mkdir()
    tiles = FinishedTiles(tmp_path)
    with held(folder) as process:
        message = rf"another run .*\(process {process.pid} on .*wait for its end"
        with pytest.raises(DataError, match=message):
            tiles.open({})
    assert tiles.open({}) == set()
    tiles.close()
    again = FinishedTiles(tmp_path)
    assert again.open({}) == set()
    again.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS])
def without_locks(request, monkeypatch):
    """Refuse locks as a network drive without them does."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(request.param, os.strerror(request.param))

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refuse)
        yield patched


def test_a_drive_without_locks_is_named_and_strokes_go_on_elsewhere(
    without_locks, tmp_path
):
    notes = Annotations.open(tmp_path / "network", SHAPE)
    paint(notes)
    assert "not being saved: the drive does not support file locks" in notes.save_error
    assert str(tmp_path / "network") in notes.save_error
    assert notes.count() == 81
    with pytest.raises(DataError, match="support file locks; write to a local"):
        FinishedTiles(tmp_path / "network").open({})
    without_locks.undo()
    elsewhere = Annotations.open(tmp_path / "local", SHAPE)
    paint(elsewhere)
    assert elsewhere.save_error == ""
    elsewhere.close()


@pytest.fixture
def painted(tmp_path):
    """Save a stroke in ``tmp_path``."""
    notes = Annotations.open(tmp_path, SHAPE)
    paint(notes)
    notes.close()


def test_strokes_on_a_drive_without_locks_are_shown(painted, without_locks, tmp_path):
    again = Annotations.open(tmp_path, SHAPE)
    assert again.count() == 81
    assert "does not support file locks" in again.save_error
    again.close()
