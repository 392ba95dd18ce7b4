"""Bytes by their hash, in a folder of this worker that goes with it."""

from __future__ import annotations

import re
import socket
from functools import cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from threading import Lock

from unet_engine.errors import DataError
from unet_engine.remote.blobs import digest_of

_lock = Lock()
"""Two runs may send the same bytes at once."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def size(digest: str, total: int) -> int:
    """Return how many bytes of a blob are there, whole or in part."""
    if (whole := _path(digest)).is_file():
        return total
    part = _part_of(whole)
    return part.stat().st_size if part.is_file() else 0


def append(digest: str, at: int, content: bytes, total: int) -> int:
    """Add bytes at a place, and return how many are there then.

    What is there already is not written again: an answer may have been lost on its way.
    When all are there, and are what the digest is of, the blob can be read.

    Raises
    ------
    DataError
        When they are other bytes, or cannot be written; they are dropped.
    """
    with _lock:
        return _append(_path(digest), at, content, total)


def _append(whole: Path, at: int, content: bytes, total: int) -> int:
    if whole.is_file():
        return total
    part = _part_of(whole)
    there = part.stat().st_size if part.is_file() else 0
    if at != there:
        return there
    try:
        with part.open("ab") as file:
            file.write(content)
    except OSError as error:
        # What was written of it would be gone on with.
        part.unlink(missing_ok=True)
        raise _unwritten(error) from error
    there += len(content)
    if there < total:
        return there
    if digest_of(part.read_bytes()) != whole.name:
        part.unlink()
        raise DataError("what arrived is not what was sent; run the same again")
    part.replace(whole)
    return total


def lacking(sizes: dict[str, int]) -> dict[str, int]:
    """Return how many bytes are there of blobs that are not complete.

    Parameters
    ----------
    sizes
        Bytes of each digest.
    """
    there = {digest: size(digest, total) for digest, total in sizes.items()}
    return {digest: n for digest, n in there.items() if n < sizes[digest]}


def keep(content: bytes) -> str:
    """Keep bytes that were made here, and return their digest."""
    digest = digest_of(content)
    append(digest, 0, content, len(content))
    return digest


def read(digest: str, at: int, count: int) -> tuple[bytes, int]:
    """Return some bytes of a blob, and how many it has in all.

    Raises
    ------
    DataError
        When it is not there.
    """
    path = path_of(digest)
    if path is None:
        raise DataError("what was to be fetched is no longer there; run it again")
    with path.open("rb") as file:
        file.seek(at)
        return file.read(count), path.stat().st_size


def path_of(digest: str) -> Path | None:
    """Return the file of a blob, None when not all of it is there."""
    path = _path(digest)
    return path if path.is_file() else None


def _path(digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise DataError(f"{digest[:80]!r} is no digest")
    return _folder() / digest


def _part_of(whole: Path) -> Path:
    return whole.with_name(f"{whole.name}.part")


@cache
def _folder() -> Path:
    """Return a folder of this process, in that which ``serving`` removes at the end."""
    try:
        return Path(mkdtemp(prefix="napari-unet-blobs-"))
    except OSError as error:
        raise _unwritten(error) from error


def _unwritten(error: OSError) -> DataError:
    return DataError(
        f"the worker on {socket.gethostname()} cannot keep what was sent "
        f"({error.strerror or error}); free space in {gettempdir()} there, or start it "
        "with TMPDIR set to a folder of another disk"
    )
