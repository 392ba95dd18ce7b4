"""The command line: ``napari-unet predict, finetune, pretrain, evaluate`` and others.

`app` finds the command that words mean and reads its options (`options/`), `commands/`
has a module for each, which work on the files that `files/` finds. The only place that
prints. Exit codes: 0 done, 1 an error in one line, 2 wrong usage, 130 interrupted
without a result.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING

from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.cli.progress import notes_reported
from unet_engine.devices import without_tokens
from unet_engine.errors import Cancelled
from unet_engine.failures import describe
from unet_engine.wording import read_in

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the name of the program; those of the process when None.
    """
    read_in("command")
    # Damaged files get one line; the reader's own report would come before it.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    # A name that the terminal's encoding lacks is no reason to fail.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("napari-unet: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    except Cancelled:
        print("napari-unet: stopped before there was a result", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has closed it; Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  # whatever it is becomes one line
        if _wants_traceback(arguments):
            traceback.print_exception(error)
        else:
            # One that was given in the wrong place may be in it.
            line = without_tokens(describe(error))
            print(f"napari-unet: error: {line}", file=sys.stderr)
        return 1


def _wants_traceback(arguments: Sequence[str]) -> bool:
    # Not from the options of the command: reading these may be what failed.
    return "--debug" in arguments


def _run(arguments: Sequence[str]) -> int:
    # Here, so that Ctrl-C while they load ends like any other.
    from unet_engine.cli.app import parse_command

    command, values = parse_command(arguments)
    with notes_reported(debug=_wants_traceback(arguments)) as notes:
        notes.quiet = getattr(values.arguments.get("options"), "quiet", False)
        code: int | None = command(*values.args, **values.kwargs)
    # There is none where it was closed, or under pythonw.
    if sys.stdout is not None:
        sys.stdout.flush()
    if code is None:
        # The help or the version was printed.
        raise SystemExit(0)
    return code
