"""Every failure as one line: what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
import traceback

from unet_engine.errors import EngineError


def describe(error: Exception, path: str | os.PathLike[str] | None = None) -> str:
    """Return a failure as one line.

    Parameters
    ----------
    error
        Of the engine, of the system or of any library.
    path
        The file that was worked on; the line names it.
    """
    if isinstance(error, MemoryError):
        line = "not enough memory; close other programs or use smaller images"
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        line = f"{error.filename}: the name is too long; give a shorter one"
    elif isinstance(error, OSError) and error.strerror and error.filename:
        line = f"{error.filename}: {error.strerror}; check the file and its permissions"
    elif isinstance(error, (EngineError, OSError, RuntimeError)):
        line = str(error) or type(error).__name__
    else:
        line = _describe_unexpected(error, known=path is not None)
    line = " ".join(line.split())
    if path is None:
        return line
    # A name may hold line breaks, too.
    place, name = (
        " ".join(part.split())
        for part in (os.fspath(path), os.path.basename(os.path.normpath(path)))
    )
    return line if name in line else f"{place}: {line}"


def quoted(text: object, most: int = 200) -> str:
    """Return what a file or a library states, as a part of a line.

    Parameters
    ----------
    text
        Whatever somebody else wrote: it may have line breaks, and fill pages.
    most
        Letters that are kept; of more, those in the middle are left out.
    """
    line = " ".join(str(text).split())
    if len(line) <= most:
        return line
    # What to do stands at the end.
    end = most // 3
    return f"{line[: most - end]}…{line[-end:]}"


def _describe_unexpected(error: Exception, *, known: bool) -> str:
    # No input should lead here; who meets it reports it, and needs no traceback.
    where = type(error).__name__
    for place in traceback.extract_tb(error.__traceback__)[-1:]:
        file = os.path.basename(place.filename)
        where += f" in {place.name}, line {place.lineno} of {file}"
    where += f": {error}"
    if known:
        return (
            f"stopped by {where}; if the file may be damaged, export it again from "
            "another program, else report this line"
        )
    return f"unexpected {where}; please report this line"
