"""How right a prediction is: the figures of the literature, NumPy in and float out."""

from unet_engine.metrics.confusion import Confusion

__all__ = ["Confusion"]
