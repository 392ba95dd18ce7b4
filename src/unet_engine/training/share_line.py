"""What a model of strokes predicts with, in words."""

from __future__ import annotations

from unet_engine.training.candidates import FEWEST_STEPS

_FEW_STEPS = (
    "The network took {} steps, and before {} it is not compared with the pixel "
    "classifier, which predicts alone, as in Live. Train longer for more."
)
_CLASSIFIER_ALONE = (
    "The network is not better than the pixel classifier yet, so the model predicts "
    "with the classifier alone, as Live does."
)
_NETWORK_ALONE = "The model predicts with the network alone, which is better than Live."
_BOTH = (
    "The model predicts with the mean of both: {0:.0%} network, {1:.0%} pixel "
    "classifier, as Live has it."
)


def describe_share(network: float, steps: int, *, trained: bool) -> str:
    """Return what a model predicts with.

    Parameters
    ----------
    network
        Share of the network in the mean.
    steps
        How many it was trained for.
    trained
        Whether it had learned these classes before.
    """
    if not trained and steps < FEWEST_STEPS:
        return _FEW_STEPS.format(steps, FEWEST_STEPS)
    if not network:
        return _CLASSIFIER_ALONE
    if network == 1:
        return _NETWORK_ALONE
    return _BOTH.format(network, 1 - network)
