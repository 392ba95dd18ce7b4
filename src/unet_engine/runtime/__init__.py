"""Where a network runs: the device, the loaded network, and torch's errors in words."""

from unet_engine.runtime.devices import (
    choose_device,
    prediction_precision,
    training_precision,
)
from unet_engine.runtime.failures import translated_errors
from unet_engine.runtime.loading import (
    fold_normalisation,
    folded_network,
    load_network,
)
from unet_engine.runtime.runner import Runner, runner_for
from unet_engine.runtime.tuning import tune

__all__ = [
    "Runner",
    "choose_device",
    "fold_normalisation",
    "folded_network",
    "load_network",
    "prediction_precision",
    "runner_for",
    "training_precision",
    "translated_errors",
    "tune",
]
