"""Writing files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path`` when the block ends well.

    It lies in the same folder under a hidden name with the same suffix, and is removed
    when the block fails; a file that was at ``path`` is untouched until then.

    Raises
    ------
    DataError
        When the folder is missing, read-only or full.
    """
    with _temporary_beside(path) as (temporary, target):
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)


@contextmanager
def whole_folder(
    path: str | os.PathLike[str], *, replace: bool = False
) -> Iterator[Path]:
    """Yield a path for a folder that takes its place when the block ends well.

    Until then it lies in a hidden folder beside it, which goes in any case.

    Parameters
    ----------
    path
        Where the folder belongs.
    replace
        Delete what is there once the new one is complete; else that is an error.

    Raises
    ------
    DataError
        When something is there, or the folder around is missing, read-only or full.
    """
    target = Path(os.path.realpath(path))
    hidden = target.with_name(f".{secrets.token_hex(8)}")
    try:
        if target.exists() and not replace:
            raise FileExistsError(errno.EEXIST, "it exists already")
        hidden.mkdir()
        yield hidden / target.name
        if target.exists():
            os.replace(target, hidden / "old")
        os.replace(hidden / target.name, target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def move_file(source: Path, target: Path) -> None:
    """Give a file another name on the same disk; nothing is replaced.

    Parameters
    ----------
    source, target
        Two spellings of one name are taken for it, where the disk takes them so.

    Raises
    ------
    DataError
        When there is something at ``target``, the file is missing, or a folder cannot
        be written to.
    """
    try:
        if target.exists() and not target.samefile(source):
            raise FileExistsError(errno.EEXIST, "there is such a file already")
        source.rename(target)
    except OSError as error:
        raise _cannot_write(target, error) from error


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Make sure that a file can be written, before the work that it will hold.

    What is there is not touched.

    Parameters
    ----------
    path
        The file.
    folder
        It will be a folder, and may be one already.

    Raises
    ------
    DataError
        When the folder is missing, read-only or full.
    """
    with _temporary_beside(path, folder=folder) as (temporary, _):
        temporary.write_bytes(b"\0")


@contextmanager
def _temporary_beside(
    path: str | os.PathLike[str], *, folder: bool = False
) -> Iterator[tuple[Path, Path]]:
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        if target.is_dir() and not folder:
            raise IsADirectoryError(None, "it is a folder")
        yield temporary, target
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be written: {error.strerror or error}; choose another "
        "folder, or make this one exist, writable and with free space"
    )
