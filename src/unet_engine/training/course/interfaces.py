"""What a training calls: an evaluator, a keeper, and what renews its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from unet_engine.training.course.run_state import RunState
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import TrainingEvent
    from unet_engine.training.validation import HeldOutScores


class Evaluator(Protocol):
    """Measures how good a network is."""

    def evaluate(
        self, network: nn.Module, device: str, *, step: int = 0
    ) -> HeldOutScores:
        """Measure a network in evaluation mode on the held-out set, after a step."""


class Resumable(Protocol):
    """A run that can be kept and restored."""

    def kept(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return all that it needs to go on: tensors, and texts by their names."""

    def restore(
        self,
        state: RunState,
        best: Mapping[str, Tensor],
        tensors: Mapping[str, Tensor],
        texts: Mapping[str, str],
    ) -> None:
        """Go on from where a run of the same start and data was."""


class Keeper(Protocol):
    """Keeps where a run is, in case its process ends before it."""

    def resume(self, run: Resumable) -> Iterator[TrainingEvent]:
        """Restore what was kept of a run like this one, if there is any."""

    def keep(self, run: Resumable) -> Iterator[TrainingEvent]:
        """Keep where it is, if it is time to."""

    def belongs_to(self, training: Sequence[TrainingPair]) -> None:
        """Take note that it learns from other pairs from now on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Renewed:
    """What a run learns from, after that has changed.

    Attributes
    ----------
    training
        Pairs to learn from; none where only the notes are new.
    evaluator
        Of what is held out of them; None where there are none.
    names
        Of the images, for the history of the model.
    pixels
        How many are labelled.
    notes
        What the user should know about the change, one sentence each.
    """

    training: Sequence[TrainingPair]
    evaluator: Evaluator | None
    names: Sequence[str] = ()
    pixels: int = 0
    notes: tuple[str, ...] = ()
