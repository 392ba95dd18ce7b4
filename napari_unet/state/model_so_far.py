"""``ModelSoFar``: a model that is being trained, as it is after some steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelSoFar:
    """The best weights of a training that goes on: they can predict, and are no file.

    Attributes
    ----------
    name
        That the model will get.
    checkpoint
        Its weights.
    """

    name: str
    checkpoint: Checkpoint

    @property
    def spec(self) -> ModelSpec:
        """What it is."""
        return self.checkpoint.spec

    @property
    def trained(self) -> bool:
        """Whether it was trained: always."""
        return True
