"""Settings of a prediction: the API's arguments, the CLI's options, the GUI's form.

Annotations here are read at run time by magicgui and the command line, so this module
must not import ``annotations`` from ``__future__``.
"""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal, get_args

from unet_engine.devices import Device, Precision, checked_device
from unet_engine.errors import SpecError
from unet_engine.settings import at_least

_SizeChoice = Literal["auto", "off", "pixel-size"]
_SIZE_CHOICES = get_args(_SizeChoice)
ObjectSize = _SizeChoice | float
"""How large objects are: a diameter in pixels of the image, or how to find it."""

SMALLEST_OBJECT = 2.0
"""Diameter in pixels below which there is no shape to enlarge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """How a prediction runs.

    Parameters
    ----------
    device
        Where it runs: auto takes a GPU if there is one; cpu, cuda, cuda:1, mps;
        local:2 for two processes of this machine; tcp://host:port for the workers of
        another one, in full as napari-unet worker prints it.
    tile
        Edge of a tile in pixels, without its halo; of a volume as many voxels. Smaller
        tiles need less memory and are slower. 0: as large as suits the network.
    probabilities
        Also return the probability of every class.
    object_maps
        Also return what the model gives to separate objects.
    average_flips
        Predict each tile in its 8 flips and turns and take the mean: a little better,
        8 times slower. auto does so if the paper of the network does.
    halo
        exact: the whole receptive field of the network around a tile, so that tiles
        equal the whole. measured: as much as was found to change a probability by
        over 0.001; a little faster.
    precision
        full: 32 bits, and tiles equal the whole. half: multiply with 16 bits on
        devices made for it, where that is faster; it changes probabilities by some
        thousandths, near the border of objects by hundredths.
    effort
        full: all that a model holds. fast: of a model with a tuned network and pixel
        classifiers the network alone, which takes a fraction of the time and may give
        another mask than Live shows.
    directions
        Of the planes of a volume that a model of planes predicts. one: those of Y and
        X. three: also those along Z, and the mean of all, which uses what lies above
        and below; it takes three times as long or more, and suits voxels that are
        about as high as wide.
    object_size
        Diameter of the objects in pixels of the image. It is predicted at the scale
        that brings them to the size that the model was trained on, and the result is
        on the image's own pixels. auto: estimated from the image, if the model knows
        the size of its objects. pixel-size: by the size of a pixel, of the image and
        of the model. off: at the scale of the image.
    pixel_size
        Edge of a pixel of the image in micrometres; 0: as the image states it.
    """

    device: Device = "auto"
    tile: Annotated[int, {"min": 0, "max": 8192, "step": 32}] = 0
    probabilities: bool = False
    object_maps: bool = False
    average_flips: Literal["auto", "on", "off"] = "auto"
    halo: Literal["exact", "measured"] = "exact"
    precision: Precision = "full"
    effort: Literal["fast", "full"] = "full"
    directions: Literal["one", "three"] = "one"
    object_size: ObjectSize = "auto"
    pixel_size: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", checked_device(self.device))
        if self.tile:
            at_least("tile", self.tile, 32)
        for name in "halo", "precision", "effort", "directions":
            value = getattr(self, name)
            choices = get_args(PredictConfig.__annotations__[name])
            if value not in choices:
                raise SpecError(f"{name} is {value!r}; use {' or '.join(choices)}")
        _check_object_size(self.object_size)
        if not 0 <= self.pixel_size < inf:
            raise SpecError(
                f"pixel_size is {self.pixel_size!r}; use micrometres above 0, or 0 for "
                "the size that the image states"
            )


def _check_object_size(size: ObjectSize) -> None:
    if size in _SIZE_CHOICES or (
        isinstance(size, (int, float)) and SMALLEST_OBJECT <= size < inf
    ):
        return
    raise SpecError(
        f"object_size is {size!r}; use {', '.join(_SIZE_CHOICES)} or a diameter of "
        f"{SMALLEST_OBJECT:g} pixels or more"
    )
