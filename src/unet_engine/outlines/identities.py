"""The numbers of objects in files of other programs, which may have none."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.outlines.outline import Outline

_NAME = re.compile(r"0*([1-9]\d{0,8})(?:-[tz]\d+)*")
"""Of an object, and where it lies: 0017-t003. ImageJ's own 0102-0035 are places."""


def label_of(name: object) -> int:
    """Return the id that the name of an object states, 0 for none."""
    found = _NAME.fullmatch(str(name))
    return int(found[1]) if found else 0


def name_of(outline: Outline, digits: int) -> str:
    """Return the name of an object, by which files of it are in order."""
    frame = f"-t{outline.t:04}" if outline.t else ""
    plane = f"-z{outline.z:04}" if outline.z else ""
    return f"{outline.label:0{digits}}{frame}{plane}"


def numbered(outlines: Sequence[Outline]) -> list[Outline]:
    """Return objects of which no two in a plane have the same number.

    Parameters
    ----------
    outlines
        With 0 as the label of those that have none.

    Returns
    -------
    list of Outline
        What has no number, or that of an earlier object of its plane, gets the next
        one after all others.
    """
    following = max((one.label for one in outlines), default=0) + 1
    taken: set[tuple[int, int, int]] = set()
    kept = []
    for one in outlines:
        if not one.label or (one.label, one.t, one.z) in taken:
            one = replace(one, label=following)
            following += 1
        taken.add((one.label, one.t, one.z))
        kept.append(one)
    return kept
