"""Requests to storage at an address, tried again while it throttles or fails."""

from __future__ import annotations

import random
import time
from itertools import count
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try: a bucket that throttles recovers within some."""

_DEFINITE = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
"""Errors that are the same at the next try."""

_CLIENTS = {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google"}
"""Packages whose errors of a connection are no ``OSError``."""

_BUSY = {429, 500, 502, 503, 504}
"""Status of HTTP: too many requests, or a server that fails for now."""

_Result = TypeVar("_Result")


class StorageError(OSError):
    """Storage at an address that failed again and again."""


def describe_failure(error: Exception) -> str:
    """Return the reason in an error, or its kind where it states none."""
    stated = error.strerror if isinstance(error, OSError) else None
    return stated or str(error) or type(error).__name__


def passes(error: Exception) -> bool:
    """Whether an error of storage may be over at the next try."""
    if isinstance(error, OSError):
        return not isinstance(error, _DEFINITE)
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in _BUSY
    return type(error).__module__.partition(".")[0] in _CLIENTS


def of_storage(error: Exception) -> bool:
    """Whether an error is of storage, and not of what was read there."""
    if isinstance(error, OSError):
        # That of a codec, which has no number of the system.
        return isinstance(error, StorageError | TimeoutError) or bool(error.errno)
    stated = isinstance(getattr(error, "status", None), int)
    return stated or type(error).__module__.partition(".")[0] in _CLIENTS


def wait_after(error: Exception, tries: int, most: int | None = None) -> float:
    """Return the seconds to wait after a try that failed.

    Up to half of it is left to chance, so that many workers do not come back at once.

    Parameters
    ----------
    error
        Why it failed.
    tries
        That failed so far.
    most
        Further tries; None for as many as there are waits.

    Raises
    ------
    StorageError
        When there is no further try.
    """
    if tries > len(WAITS_S[:most]):
        raise StorageError(
            None, f"{describe_failure(error)}, {tries} times in a row"
        ) from error
    return WAITS_S[tries - 1] * random.uniform(0.5, 1)


def patiently(call: Callable[[], _Result]) -> _Result:
    """Return what a call returns, tried again while storage throttles or fails.

    Raises
    ------
    StorageError
        When it fails at the last try, too.
    """
    for tries in count(1):
        try:
            return call()
        except Exception as error:
            if not passes(error):
                raise
            wait = wait_after(error, tries)
        time.sleep(wait)
    raise AssertionError
