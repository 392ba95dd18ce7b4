"""Settings of a prediction: the API's arguments, the CLI's options, the GUI's form.

Annotations here are read at run time by magicgui and the command line, so this module
must not import ``annotations`` from ``__future__``.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from unet_engine.devices import Device, Precision
from unet_engine.errors import SpecError
from unet_engine.settings import at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig:
    """How a prediction runs.

    Parameters
    ----------
    device
        Where it runs; auto takes a GPU if there is one.
    tile
        Edge of a tile in pixels, without its halo; of a volume as many voxels. Smaller
        tiles need less memory and are slower. 0: as large as suits the network.
    probabilities
        Also return the probability of every class.
    object_maps
        Also return what the model gives to tell one object from the next.
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

    def __post_init__(self) -> None:
        if self.tile:
            at_least("tile", self.tile, 32)
        for name in "halo", "precision", "effort", "directions":
            value = getattr(self, name)
            choices = get_args(PredictConfig.__annotations__[name])
            if value not in choices:
                raise SpecError(f"{name} is {value!r}; use {' or '.join(choices)}")
