"""What a run tells on stderr while it works."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def add_quiet_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress bar and no notes"
    )


def bar(total: float, description: str, *, quiet: bool) -> Any:
    """Return a progress bar on stderr, which shows only in a terminal.

    Parameters
    ----------
    total
        What is complete.
    description
        Text before the bar.
    quiet
        Show nothing in a terminal either.
    """
    return tqdm(
        total=total,
        desc=description,
        bar_format=_BAR,
        disable=True if quiet else None,
        leave=False,
        dynamic_ncols=True,
    )


def tell(lines: Iterable[str], *, quiet: bool = False) -> None:
    """Write lines to stderr, above a bar if there is one."""
    if not quiet:
        for line in lines:
            tqdm.write(line, file=sys.stderr)


class Notes(logging.Handler):
    """Writes what the engine warns of to stderr, each line once in a run.

    Attributes
    ----------
    quiet : bool
        Write nothing.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.quiet = False
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless it was written before: files are opened repeatedly."""
        line = record.getMessage()
        if line not in self._told:
            self._told.add(line)
            tell([line], quiet=self.quiet)


@contextmanager
def notes_told() -> Iterator[Notes]:
    """Write what the engine warns of while a command runs."""
    notes = Notes()
    engine = logging.getLogger("unet_engine")
    engine.addHandler(notes)
    try:
        yield notes
    finally:
        engine.removeHandler(notes)
