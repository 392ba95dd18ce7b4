"""Settings of a training: the API's arguments, the CLI's options, the GUI's form.

Annotations here are read at run time by magicgui and the command line, so this module
must not import ``annotations`` from ``__future__``.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args

from unet_engine.devices import Device, checked_device
from unet_engine.errors import SpecError
from unet_engine.settings import at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneConfig:
    """How a training runs.

    Parameters
    ----------
    device
        Where it runs: auto takes a GPU if there is one; cpu, cuda, cuda:1, mps;
        local:1 for another process of this machine; tcp://host:port for a worker of
        another one, in full as napari-unet worker prints it.
    minutes
        Longest time to train; without steps it ends earlier, when the model no longer
        gains. 0: no limit, then steps must be given.
    steps
        Number of steps, if the time suffices. 0: until the model no longer gains, then
        minutes must be given.
    learning_rate
        Peak learning rate.
    optimiser
        adamw, or sgd with the momentum of 0.99 of the published U-Net.
    crop
        Edge of a training crop in pixels. A crop of a volume has about as many voxels
        as the square of it, and the whole depth of a thin stack.
    batch
        Crops in a step.
    validation
        Fraction of the labelled pixels that is held out to find the best weights.
    elastic
        Standard deviation of the elastic deformation in pixels; in a volume less, as
        its crops are smaller. 0: none.
    flips
        Mirror and turn the crops.
    scaling
        Largest zoom of the crops, in or out. 1: none.
    intensity
        Strength of brightness, contrast, blur and noise changes. 0: none.
    border_weight
        Extra weight of the gaps between neighbouring objects, 10 in the published
        U-Net; rare classes then also count more. 0: all pixels count alike.
    dice
        Add the Dice loss to the cross entropy.
    statistics
        Of batch normalisation. frozen keeps the model's own and tunes it gently, at
        0.3 of the learning rate; batch learns new ones; auto freezes them when a
        trained model is tuned.
    seed
        Same seed, same result on a CPU.
    processes
        How many share each step, with the result of one: one on each GPU of this
        machine, with the device cuda.
    """

    device: Device = "auto"
    minutes: Annotated[float, {"min": 0.0, "max": 1440.0, "step": 0.5}] = 10.0
    steps: Annotated[int, {"min": 0, "max": 1_000_000, "step": 10}] = 0
    learning_rate: Annotated[float, {"min": 1e-6, "max": 0.1, "step": 1e-4}] = 1e-3
    optimiser: Literal["adamw", "sgd"] = "adamw"
    crop: Annotated[int, {"min": 32, "max": 1024, "step": 32}] = 192
    batch: Annotated[int, {"min": 1, "max": 64}] = 4
    validation: Annotated[float, {"min": 0.05, "max": 0.5, "step": 0.05}] = 0.2
    elastic: Annotated[float, {"min": 0.0, "max": 50.0}] = 10.0
    flips: bool = True
    scaling: Annotated[float, {"min": 1.0, "max": 4.0, "step": 0.05}] = 1.15
    intensity: Annotated[float, {"min": 0.0, "max": 1.0, "step": 0.1}] = 0.5
    border_weight: Annotated[float, {"min": 0.0, "max": 100.0}] = 0.0
    dice: bool = True
    statistics: Literal["auto", "frozen", "batch"] = "auto"
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0
    processes: Annotated[int, {"min": 1, "max": 64}] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", checked_device(self.device))
        for name in (
            "minutes",
            "steps",
            "elastic",
            "intensity",
            "border_weight",
            "seed",
        ):
            at_least(name, getattr(self, name), 0)
        at_least("crop", self.crop, 32)
        at_least("batch", self.batch, 1)
        at_least("processes", self.processes, 1)
        at_least("scaling", self.scaling, 1)
        if not 0 < self.learning_rate <= 1:
            raise SpecError(
                f"learning_rate {self.learning_rate} is not above 0 and at most 1; "
                "1e-3 is usual"
            )
        if not 0 < self.validation < 1:
            raise SpecError(
                f"validation {self.validation} is not between 0 and 1; 0.2 is usual"
            )
        if self.minutes == 0 and self.steps == 0:
            raise SpecError(
                "a training without minutes and without steps would never end; "
                "give one of them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """How a model without classes learns from images without labels.

    Parameters
    ----------
    device
        Where it runs; auto takes a GPU if there is one.
    minutes
        Longest time to train. 0: no limit, then steps must be given.
    steps
        Largest number of steps. 0: no limit, then minutes must be given.
    learning_rate
        Peak learning rate.
    crop
        Edge of a training crop in pixels.
    batch
        Crops in a step.
    validation
        Fraction of the pixels that is held out to find the best weights.
    neighbours_share_noise
        Whether the noise of a pixel shows in its neighbours as well, such as after an
        image was scaled or sharpened; a U-Net then learns from pixels farther away.
        auto: as the images look.
    seed
        Same seed, same result on a CPU.
    """

    device: Device = "auto"
    minutes: Annotated[float, {"min": 0.0, "max": 1440.0, "step": 0.5}] = 5.0
    steps: Annotated[int, {"min": 0, "max": 1_000_000, "step": 10}] = 0
    learning_rate: Annotated[float, {"min": 1e-6, "max": 0.1, "step": 1e-4}] = 1e-3
    crop: Annotated[int, {"min": 32, "max": 1024, "step": 32}] = 192
    batch: Annotated[int, {"min": 1, "max": 64}] = 4
    validation: Annotated[float, {"min": 0.05, "max": 0.5, "step": 0.05}] = 0.1
    neighbours_share_noise: Literal["auto", "yes", "no"] = "auto"
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", checked_device(self.device))
        choices = get_args(PretrainConfig.__annotations__["neighbours_share_noise"])
        if self.neighbours_share_noise not in choices:
            raise SpecError(
                f"neighbours_share_noise is {self.neighbours_share_noise!r}; use one "
                f"of {', '.join(choices)}"
            )
        self.for_training()

    def for_training(self) -> FineTuneConfig:
        """Return the settings of a training whose crops are not resampled."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["neighbours_share_noise"]
        return FineTuneConfig(
            **values, elastic=0.0, flips=False, scaling=1.0, intensity=0.0
        )
