"""What a run reports on stderr while it works."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from unet_engine.images import LabelRule

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


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


def report(lines: Iterable[str], *, quiet: bool = False) -> None:
    """Write lines to stderr, above a bar if there is one."""
    if not quiet:
        for line in lines:
            tqdm.write(line, file=sys.stderr)


def report_rule(rule: LabelRule, names: Sequence[str], *, quiet: bool) -> None:
    """Report what the values mean in one line, and then what is odd about them."""
    report([rule.describe(names), *rule.notes], quiet=quiet)


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
        self._reported: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless it was written before: files are opened repeatedly."""
        line = record.getMessage()
        if record.exc_info:
            line = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        if line not in self._reported:
            self._reported.add(line)
            report([line], quiet=self.quiet)


@contextmanager
def notes_reported(*, debug: bool = False) -> Iterator[Notes]:
    """Write what the engine warns of while a command runs.

    Parameters
    ----------
    debug
        Write what it logs for developers, too, such as tracebacks.
    """
    notes = Notes()
    engine = logging.getLogger("unet_engine")
    level = engine.level
    engine.addHandler(notes)
    if debug:
        notes.setLevel(logging.DEBUG)
        engine.setLevel(logging.DEBUG)
    try:
        yield notes
    finally:
        engine.setLevel(level)
        engine.removeHandler(notes)
