"""Checks that the settings of every run share."""

from unet_engine.errors import SpecError


def at_least(name: str, value: float, least: float) -> None:
    """Raise `SpecError` when a setting is less than it may be."""
    if not value >= least:
        raise SpecError(f"{name} is {value}; use {least} or more")
