"""``Entry``: an image of a list, and how far the work on it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["untouched", "strokes", "accepted"]

STATES: tuple[State, ...] = get_args(State)
"""In the order of the work: nothing was done, something was painted, the user is
content with the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An image of a list.

    Attributes
    ----------
    path
        Of its file, relative to the folder of the list and with ``/`` in between on
        every system; absolute where the two lie on different drives.
    state
        How far the work on it is.
    classes
        Names of the classes that were painted.
    model
        Name of the model that it was worked on with last; empty for none.
    stamp
        Size and time of the file when it was looked at last; empty for a folder.
    digest
        Of what the file holds, see ``fingerprints``; empty until the image is worked
        on.
    """

    path: str
    state: State = "untouched"
    classes: tuple[str, ...] = ()
    model: str = ""
    stamp: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.rsplit("/", 1)[-1]

    def matches(self, state: State | None = None, text: str = "") -> bool:
        """Whether it passes a filter.

        Parameters
        ----------
        state
            Only images in this state; None for any.
        text
            Part of the path, of a class or of the model, in any case.
        """
        if state is not None and self.state != state:
            return False
        wanted = text.casefold()
        return not wanted or any(
            wanted in one.casefold() for one in (self.path, *self.classes, self.model)
        )
