"""How objects are found in a mask: the API's arguments, CLI options and form at once.

Annotations here are read at run time by magicgui and the command line, so this module
must not import ``annotations`` from ``__future__``.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from unet_engine.errors import SpecError

_FURTHEST = 5.0
"""Factor of the depths at which ``merging`` ends, on both sides: of the usual depth in
object maps, where each clump is one object."""

_HIGHEST_THRESHOLD = 0.95
"""Of seeds: above it nearly none are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectConfig:
    """How the pixels of a class become single objects.

    Parameters
    ----------
    method
        watershed splits objects that touch, where the model shows it or else at their
        necks, good for roundish ones such as nuclei; components keeps whatever is
        connected in one piece, good for long or branched ones; keep takes the values of
        the mask as object ids and changes none.
    min_size
        Objects of fewer pixels are left out. auto: of fewer than 30, or of a fifth of
        those of the usual object where that is less.
    fill_holes
        Fill holes that one class surrounds and that do not touch the image border.
    connectivity
        faces: pixels are connected along their sides; full: along corners too.
    merging
        Of a watershed, from 0, which splits more, to 1, which merges more; at 0.5 the
        following settings hold as they are.
    map_depth
        Where the model gives object maps: how much lower than both objects the pass
        between them must be for a split, of 1. Larger values split less.
    neck_depth
        How much wider than its neck both sides of an object must be to be split, in
        pixels of the radius. Larger values split less.
    seed_threshold
        With a boundary class: interior minus boundary probability above which the seed
        of an object lies.
    volumes
        whole: objects of a volume are found in it at once. linked: in each slice, and
        joined with what they overlap most in the next slice, good for slices that lie
        far apart and for models of planes.
    overlap
        Pixels that a block reads of its neighbours. Touching objects are split as in
        the whole image if all of them together span no more along any axis.
    """

    method: Literal["watershed", "components", "keep"] = "watershed"
    min_size: int | Literal["auto"] = "auto"
    fill_holes: bool = True
    connectivity: Literal["faces", "full"] = "faces"
    merging: Annotated[float, {"min": 0.0, "max": 1.0, "step": 0.05}] = 0.5
    map_depth: Annotated[float, {"min": 0.0, "max": 1.0, "step": 0.05}] = 0.4
    neck_depth: Annotated[float, {"min": 0.0, "max": 100.0, "step": 0.25}] = 1.0
    seed_threshold: Annotated[float, {"min": 0.0, "max": 1.0, "step": 0.05}] = 0.5
    volumes: Literal["whole", "linked"] = "whole"
    overlap: Annotated[int, {"min": 1, "max": 2048, "step": 32}] = 128

    def __post_init__(self) -> None:
        for name, least in (("min_size", 0), ("neck_depth", 0), ("overlap", 1)):
            value = getattr(self, name)
            if value == "auto":
                continue
            if not value >= least:
                word = ", or auto" if name == "min_size" else ""
                raise SpecError(f"{name} is {value}; use {least} or more{word}")
        for name in ("merging", "map_depth"):
            if not 0 <= getattr(self, name) <= 1:
                raise SpecError(f"{name} is {getattr(self, name)}; use 0 to 1")
        if not 0 <= self.seed_threshold < 1:
            raise SpecError(
                f"seed_threshold {self.seed_threshold} is not in [0, 1); 0.5 is usual"
            )

    @property
    def shifted(self) -> "ObjectConfig":
        """The same with ``merging`` in the other settings, and itself at 0.5."""
        factor = _FURTHEST ** (2 * self.merging - 1)
        # Seeds of a boundary class grow together below a lower threshold.
        threshold = self.seed_threshold * (2 - 2 * self.merging)
        return replace(
            self,
            merging=0.5,
            map_depth=min(self.map_depth * factor, 1.0),
            neck_depth=self.neck_depth * factor,
            seed_threshold=min(threshold, max(_HIGHEST_THRESHOLD, self.seed_threshold)),
        )
