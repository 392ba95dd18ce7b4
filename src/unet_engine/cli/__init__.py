"""The command line: ``napari-unet predict, finetune, pretrain, evaluate`` and others.

The only place that prints. Exit codes: 0 done, 1 an error in one line, 2 wrong usage,
130 interrupted without a result.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from unet_engine.cli.failures import describe
from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.cli.parsing import CommandParser, command_first
from unet_engine.cli.progress import notes_told

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
    # Damaged files get one line of ours; the reader's own report would come before it.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    # A name that the terminal's encoding lacks is no reason to fail.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("napari-unet: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  # whatever it is becomes one line
        print(f"napari-unet: error: {describe(error)}", file=sys.stderr)
        return 1


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    given = sys.argv[1:] if argv is None else argv
    given = command_first(given, parser.get_default("command_names"))
    arguments, others = parser.parse_known_args(given)
    if others and not arguments.passes_on:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    arguments.others = others
    with notes_told() as notes:
        notes.quiet = getattr(arguments, "quiet", False)
        code: int = arguments.run(arguments)
    # There is none where it was closed, or under pythonw.
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets ``run`` to what it does."""
    # Here, so that Ctrl-C while they load ends like any other.
    from unet_engine import __version__
    from unet_engine.cli.demo import add_parser as add_demo
    from unet_engine.cli.evaluate import add_parser as add_evaluate
    from unet_engine.cli.finetune import add_parser as add_finetune
    from unet_engine.cli.models import add_parser as add_models
    from unet_engine.cli.objects import add_parser as add_objects
    from unet_engine.cli.predict import add_parser as add_predict
    from unet_engine.cli.pretrain import add_parser as add_pretrain

    parser = argparse.ArgumentParser(
        prog="napari-unet",
        description="Predict, fine-tune and evaluate segmentation models.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, parser_class=CommandParser
    )
    adding = (add_predict, add_objects, add_finetune, add_pretrain, add_evaluate)
    for add in (*adding, add_models, add_demo):
        add(commands)
    parser.set_defaults(command_names=tuple(commands.choices))
    return parser
