"""Colours of the classes, which the engine has for pictures of its own."""

from __future__ import annotations

from unet_engine.class_colours import BACKGROUND_COLOUR, colour_of

__all__ = ["BACKGROUND_COLOUR", "colour_of"]
