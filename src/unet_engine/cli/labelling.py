"""Options of what label values mean, and the line that tells what they were taken for.

One rule for all files of a run, decided before anything is computed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from unet_engine.cli.progress import tell
from unet_engine.errors import DataError
from unet_engine.images.labels.choices import LABEL_VALUES, parse_unlabelled
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import LabelRule
    from unet_engine.images.labels.choices import Unlabelled


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``decide_labels`` takes."""
    parser.add_argument(
        "--label-values",
        choices=LABEL_VALUES,
        default="auto",
        help="what the values of all label files mean: classes, 0 the background; "
        "objects, each number an object and all above 0 the foreground; mask, all "
        "above 0 the foreground, or what is above half of the highest value where "
        "there are grey levels; auto: classes, or a mask where there are only 0 and "
        f"{IGNORE}, and a question where they could be something else (default: auto)",
    )
    # Who follows a message adds the other option: the last one counts.
    parser.add_argument(
        "--instances",
        action="store_const",
        const="objects",
        default=argparse.SUPPRESS,
        dest="label_values",
        help="the same as --label-values objects; of both the last one counts",
    )
    parser.add_argument(
        "--unlabelled",
        type=_unlabelled,
        default="auto",
        metavar="VALUE",
        help="value of pixels that nobody labelled; none when all are labelled; with "
        f"0, classes count from 1 (default: auto, which is -1, or {IGNORE} beside "
        "classes)",
    )


def _unlabelled(text: str) -> Unlabelled:
    try:
        return parse_unlabelled(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def tell_rule(rule: LabelRule, names: Sequence[str], *, quiet: bool) -> None:
    """Tell what the values mean in one line, and then what is odd about them."""
    tell([rule.describe(names), *rule.notes], quiet=quiet)
