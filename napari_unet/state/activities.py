"""What is running: one run that the user waits for, and a training beside it.

The training gives way: between its steps it waits for the others.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from unet_engine.stopping import Stop

_WAIT_S = 0.02
"""Seconds between two looks at whether the others are done: far below what is noticed,
and a thousandth of a processor."""
RUNS = {
    "predict": "prediction",
    "train": "training",
    "pretrain": "pretraining",
    "objects": "separation of objects",
}
"""What each run is called."""
TRAINING = "train"
"""Name of the run beside which everything else goes on."""


class Priority:
    """What has the processor before a training; set by the window, read in a thread."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()

    def take(self, name: str) -> None:
        """Let trainings wait for a run of this name."""
        self._names |= {name}

    def give_back(self, name: str) -> None:
        """End what ``take`` began."""
        self._names -= {name}

    def giving_way(self, stop: Stop) -> Stop:
        """Return a ``stop`` that waits, before each step, until all others are done."""

        def wait() -> bool:
            while self._names and not stop():
                time.sleep(_WAIT_S)
            return stop()

        return wait


class Activities:
    """What is running.

    Attributes
    ----------
    activity
        ``""``, ``"predict"``, ``"pretrain"`` or ``"objects"``: one at a time.
    training
        Whether a model is being tuned beside it.
    priority
        What that training gives way to.
    """

    activity_changed = Signal()

    def __init__(self) -> None:
        self.activity = ""
        self.training = False
        self.priority = Priority()

    @property
    def busy(self) -> bool:
        """Whether anything is running."""
        return self.training or bool(self.activity)

    @property
    def why_busy(self) -> str:
        """Why nothing else can be started; empty while nothing is running."""
        if not self.activity:
            return ""
        name = RUNS.get(self.activity, "run")
        return f"A {name} runs: wait for its end, or cancel it."

    @property
    def why_training(self) -> str:
        """Why no other model can be trained; empty while none is."""
        return "A training runs: wait for its end, or stop it." if self.training else ""

    def begin(self, activity: str) -> None:
        """Set what is running now, or that a model is being tuned beside it."""
        if activity == TRAINING:
            self.training = True
        else:
            self.activity = activity
            self.priority.take(activity)
        self.activity_changed.emit()

    def end(self, activity: str = "") -> None:
        """Set that nothing is running any more, or that no model is being tuned."""
        if activity == TRAINING:
            self.training = False
        else:
            self.priority.give_back(self.activity)
            self.activity = ""
        self.activity_changed.emit()
