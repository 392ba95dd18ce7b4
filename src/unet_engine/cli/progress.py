"""What a run tells on stderr while it works."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

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
