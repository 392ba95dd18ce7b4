"""Files worked on one by one: a failure is one line that names it, the rest goes on."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.cli.progress import report
from unet_engine.errors import Cancelled, DataError, DeviceError
from unet_engine.failures import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)


class Batch:
    """Keep count of the files of a run, and of what failed.

    Parameters
    ----------
    total
        Number of files. The failure of a single one ends the run.
    noun
        What they are, in the plural: ``"images"``.
    verb
        What is done with them: ``"segmented"``.

    Attributes
    ----------
    errors : dict of Path to str
        What was wrong with which file.
    done, skipped : int
        Files that were worked on, and those that were finished before.
    """

    def __init__(self, total: int, noun: str, verb: str) -> None:
        self.total, self.noun, self.verb = total, noun, verb
        self.errors: dict[Path, str] = {}
        self.done = 0
        self.skipped = 0

    @contextmanager
    def attempt(self, path: Path) -> Iterator[None]:
        """Turn whatever goes wrong with a file into a line on stderr.

        Raises
        ------
        DataError
            With that line, when there is no other file.
        DeviceError
            When the device cannot be used: that would be wrong with every file.
        """
        try:
            yield
        except (Cancelled, BrokenPipeError):
            raise
        except DeviceError as error:
            if not self.done:
                raise
            raise DeviceError(
                f"{error}; {self.done} of {self.total} {self.noun} are {self.verb}, "
                "and are kept"
            ) from error
        except Exception as error:
            line = describe(error, path)
            if self.total == 1:
                raise DataError(line) from error
            logger.debug("%s failed", path, exc_info=error)
            self.report(path, line)

    def report(self, path: Path, line: str) -> None:
        """Count a file as failed, and report why."""
        self.errors[path] = line
        report([f"napari-unet: error: {line}"])

    def skip(self, path: Path, *, quiet: bool, where: str = "there") -> None:
        """Count a file as finished before, and report it."""
        self.skipped += 1
        report([f"{path} is {where} already; skipped"], quiet=quiet)

    def conclude(self, *, quiet: bool) -> int:
        """Write the last line of a run; return its exit code.

        Raises
        ------
        DataError
            When a file failed.
        """
        before = f", {self.skipped} finished before" if self.skipped else ""
        if self.errors:
            raise DataError(
                f"{len(self.errors)} of {self.total} {self.noun} could not be "
                f"{self.verb} ({self.done} {self.verb}{before}); see the lines above"
            )
        if self.total > 1:
            report([f"{self.done} {self.noun} {self.verb}{before}"], quiet=quiet)
        return 0

    def stopped(self) -> int:
        """Write the last line of a run that was interrupted; return its exit code."""
        # Not that nothing was written: tiles of the image at work may be kept.
        what = f"{self.done} of {self.total} {self.noun} were"
        if not self.done:
            what = "nothing was"
        failed = f", {len(self.errors)} failed" if self.errors else ""
        report([f"napari-unet: stopped, {what} {self.verb}{failed}"])
        return INTERRUPTED
