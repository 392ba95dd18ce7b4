"""``Preparation``: what a model states of brightness and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from unet_engine.images.brightness.steps import Step

Brightness = Literal["percentiles", "foreground"]
"""What becomes 0 and 1: two percentiles, or the background and the objects."""

Colour = Literal["luminance", "haematoxylin", "nuclear dye"]
"""What a model of one channel reads of a colour image. Of a stain the second is the
density of haematoxylin, and the third that of the dye of the nuclei, which may be a
violet one; of other images both are the luminance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How an image becomes the input of a model.

    Attributes
    ----------
    low, high
        Percentiles of the whole image that become 0 and 1.
    brightness, colour
        See ``Brightness`` and ``Colour``.
    steps
        What a network of another program does instead, in this order; none: 0 and 1.
    """

    low: float = 1.0
    high: float = 99.8
    brightness: Brightness = "percentiles"
    colour: Colour = "luminance"
    steps: tuple[Step, ...] = ()
