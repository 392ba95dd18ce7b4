"""What makes one model that sees objects different from another: images and optics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np

    from bundled_models.labelled_image import Floats, Ids, LabelledImage

    Random = np.random.Generator
    Show = Callable[[LabelledImage, Floats, Ids, Random], Floats]

ZOOM = 2.0
"""Largest factor by which objects are drawn smaller or larger than their usual size."""
GENERATED = "generated"
"""Name that generated images have among the sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRecipe:
    """How a model that sees objects is trained.

    Attributes
    ----------
    spec
        Of the model, with an object size.
    shares
        How often the images of each set and of ``GENERATED`` are drawn, relative to
        each other.
    read
        ``read(data, name, held_out=...)`` returns the images of one side of a set.
    generate
        ``generate(seed)`` returns generated images.
    show
        ``show(image, pixels, ids, rng)`` returns a crop as another microscope might
        have taken it, ``(Y, X)``; pixels ``(C, Y, X)`` and ids ``(Y, X)`` are those of
        the crop.
    """

    spec: ModelSpec
    shares: Mapping[str, float]
    read: Callable[..., list[LabelledImage]]
    generate: Callable[[int], list[LabelledImage]]
    show: Show

    @property
    def object_size(self) -> float:
        """Diameter of the median object as the network sees it, in pixels."""
        return float(self.spec.object_size_px or 0.0)

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the sets on disk."""
        return tuple(name for name in self.shares if name != GENERATED)

    def read_side(
        self, data: Path, *, held_out: bool
    ) -> dict[str, list[LabelledImage]]:
        """Read one side of all sets."""
        return {name: self.read(data, name, held_out=held_out) for name in self.sets}


def object_spec(object_size: float, **changes: Any) -> ModelSpec:
    """Return the spec of a model that sees objects of a median diameter in pixels."""
    return ModelSpec(
        object_maps=("distance", "boundary"),
        object_size_px=object_size,
        object_size_range=(object_size / ZOOM, object_size * ZOOM),
        **changes,
    )
