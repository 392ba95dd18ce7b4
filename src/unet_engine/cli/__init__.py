"""The command line: ``napari-unet predict, finetune, pretrain, evaluate`` and others.

The only place that prints. Exit codes: 0 done, 1 an error in one line, 2 wrong usage,
130 interrupted without a result.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING

from unet_engine import __version__
from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the name of the program; those of the process when None.
    """
    # Damaged files get one line of ours; the reader's own report would come before it.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("napari-unet: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("not enough memory; close other programs or use smaller images")
    except (EngineError, OSError, RuntimeError) as error:
        return _fail(str(error) or type(error).__name__)
    except Exception as error:
        # No input should lead here; who meets it reports it, and needs no traceback.
        logger.debug("unexpected error", exc_info=True)
        place = traceback.extract_tb(error.__traceback__)[-1]
        return _fail(
            f"unexpected {type(error).__name__} in {place.name}, line {place.lineno} "
            f"of {os.path.basename(place.filename)}: {error}; please report this line"
        )


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    arguments, others = parser.parse_known_args(argv)
    if others and not arguments.passes_on:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    arguments.others = others
    code: int = arguments.run(arguments)
    sys.stdout.flush()
    return code


def _fail(message: str) -> int:
    print(f"napari-unet: error: {' '.join(message.split())}", file=sys.stderr)
    return 1


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets ``run`` to what it does."""
    # Here, so that Ctrl-C while they load ends like any other.
    from unet_engine.cli.demo import add_parser as add_demo
    from unet_engine.cli.evaluation import add_parser as add_evaluate
    from unet_engine.cli.listing import add_parser as add_models
    from unet_engine.cli.objects import add_parser as add_objects
    from unet_engine.cli.prediction import add_parser as add_predict
    from unet_engine.cli.pretraining import add_parser as add_pretrain
    from unet_engine.cli.tuning import add_parser as add_finetune

    parser = argparse.ArgumentParser(
        prog="napari-unet",
        description="Predict, fine-tune and evaluate segmentation models.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = (add_predict, add_objects, add_finetune, add_pretrain, add_evaluate)
    for add in (*adding, add_models, add_demo):
        add(commands)
    return parser
