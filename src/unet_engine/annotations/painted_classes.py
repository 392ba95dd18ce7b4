"""What the values of strokes mean: the name of each class, and the model chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unet_engine.annotations.records import Kind, frame

if TYPE_CHECKING:
    from unet_engine.annotations.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedClasses:
    """The meaning of the values of strokes.

    Attributes
    ----------
    names
        Of the classes, by value; empty where they are unknown, as in files of earlier
        versions.
    model
        What identifies the model for which the last stroke was painted, as JSON types.
    """

    names: tuple[str, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {"names": list(self.names), "model": dict(self.model)}

    @classmethod
    def from_dict(cls, values: Any) -> PaintedClasses:
        """Read what ``to_dict`` wrote; nothing is known where it is something else."""
        names = values.get("names", ()) if isinstance(values, Mapping) else ()
        model = values.get("model", {}) if isinstance(values, Mapping) else {}
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            names = []
        return cls(
            names=tuple(names), model=model if isinstance(model, Mapping) else {}
        )


def pack_classes(painted: PaintedClasses, number: int) -> bytes:
    """Return a record that holds for all values, those of earlier acts too.

    Parameters
    ----------
    painted
        What they mean.
    number
        Of the act before it.
    """
    return frame(Kind.CLASSES, number, json.dumps(painted.to_dict()).encode())


def unpack_classes(record: Record) -> PaintedClasses:
    """Return what a record holds.

    Raises
    ------
    ValueError
        When the payload is no JSON.
    """
    return PaintedClasses.from_dict(json.loads(record.payload))
