"""What can be chosen for the meaning of label values, and how messages name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from unet_engine.errors import DataError

LabelValues = Literal["auto", "classes", "objects", "mask"]
Unlabelled = int | Literal["auto", "none"]

LABEL_VALUES: tuple[LabelValues, ...] = get_args(LabelValues)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How a message names the choices: options of a command, or rows of a form.

    Attributes
    ----------
    values, unlabelled
        Formats of one choice.
    objects
        How values are taken for object ids, where that is another choice.
    more_classes
        How a model gets further classes.
    one_class
        Whether labels of a single class are of use.
    """

    values: str = "--label-values {}"
    unlabelled: str = "--unlabelled {}"
    objects: str = ""
    more_classes: str = "name all classes with --classes"
    one_class: bool = False


COMMAND_LINE = Wording()


def parse_unlabelled(text: str) -> Unlabelled:
    """Read a whole number, ``none`` or ``auto``.

    Raises
    ------
    DataError
        When it is something else.
    """
    value = text.strip()
    if value == "none":
        return "none"
    if value == "auto":
        return "auto"
    if not re.fullmatch(r"-?\d+", value):
        raise DataError(
            f"{text!r} is no value of pixels that nobody labelled; give a whole number "
            "such as 255 or -1, none or auto"
        )
    return int(value)
