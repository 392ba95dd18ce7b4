"""How messages name a setting: as an option of a command or a control of the window.

A message has to name what its reader has before them, and is made where neither is
known. A process is the one or the other. No torch.
"""

from __future__ import annotations

from typing import Literal

Place = Literal["command", "window"]

_process: dict[str, Place] = {"place": "command"}
"""Where messages of this process are read."""


def read_in(place: Place) -> None:
    """Set where messages of this process are read from now on."""
    _process["place"] = place


def setting(*, command: str, window: str) -> str:
    """Return how a setting is named where messages are read.

    Parameters
    ----------
    command
        Its option with a value, such as ``--object-size 30``.
    window
        The label of its control.
    """
    return window if _process["place"] == "window" else command
