"""``Outcome``: what became of one trial, and what counts as a fault."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_LINE = 1000
"""Characters of a message: a file may name a class in 60 of them, twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a trial.

    Attributes
    ----------
    refused
        Why it was refused, in one line; empty where it was not.
    fault
        What must not be; empty where all is well.
    """

    refused: str = ""
    fault: str = ""


def outcome_of(act: Callable[[], Any]) -> Outcome:
    """Do something that may be refused in one clear line, and nothing else."""
    try:
        act()
    except EngineError as error:
        line = str(error)
        if "\n" in line or not line or len(line) > _LONGEST_LINE:
            return Outcome(refused=line, fault=f"no clear line: {line!r:.300}")
        return Outcome(refused=line)
    except Exception as error:  # noqa: BLE001  # which one it is, is the fault
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error}"[:300]
        return Outcome(fault=f"{what} in {last.name} of {last.filename}:{last.lineno}")
    return Outcome()
