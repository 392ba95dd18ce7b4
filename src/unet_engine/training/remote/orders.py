"""What goes to a worker for a training and what comes back: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from unet_engine.training.config import FineTuneConfig, PretrainConfig
    from unet_engine.training.events import FineTuned, TrainingEvent

    Config: TypeAlias = FineTuneConfig | PretrainConfig


@dataclass(frozen=True, slots=True)
class SentPair:
    """A training pair whose arrays are sent as blobs.

    Attributes
    ----------
    fields
        Those of a ``TrainingPair`` that are no arrays.
    image, labels
        Digests of what the image, and all other arrays, are packed to.
    """

    fields: dict[str, Any]
    image: str
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHeader:
    """What a worker trains.

    Attributes
    ----------
    start, features_from
        Digests of the files of models; the second is empty for the first.
    pairs
        What is learned from at the start.
    config
        How, which decides whether labels or noise are learned from; the device is that
        of the worker.
    follows
        Whether pairs may change while it runs.
    """

    start: str
    features_from: str
    pairs: tuple[SentPair, ...]
    config: Config
    follows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNews:
    """What happened in a training since it was last asked for.

    Attributes
    ----------
    attempt
        Names the process that trains: of another one all events are new.
    events
        In their order; the models of validations are left out.
    model
        Digest of the best model so far, when one of the events brought it.
    result
        Without its model; None while it runs.
    final
        Digest of that model, empty where it is the start.
    error
        What ended it instead.
    """

    attempt: str
    events: tuple[TrainingEvent, ...]
    model: str = ""
    result: FineTuned | None = None
    final: str = ""
    error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.result is not None or self.error is not None
