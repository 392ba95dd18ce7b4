"""The engine's own exceptions: every message names what is wrong and what to do.

None of them is a ``RuntimeError``: Qt generator workers swallow those, and torch
raises them for nearly everything, so the two must stay apart.
"""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class SpecError(EngineError):
    """A spec, setting or architecture does not exist or cannot be built."""


class DataError(EngineError):
    """An image, a label image or a folder cannot be used as it is."""


class UntrustedError(DataError):
    """A file holds a program, and nobody stated to trust who made it.

    Attributes
    ----------
    source
        Who states to have made it.
    """

    def __init__(self, message: str, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class UnknownAxesError(DataError):
    """A file does not record what its axes are, and the caller did not name them."""


class CheckpointError(EngineError):
    """A file is no model of this package, is damaged, or does not fit its own spec."""


class DeviceError(EngineError):
    """A device cannot be used at all, whatever is computed on it."""


class OutOfMemoryError(EngineError):
    """The chosen device has too little memory for the chosen tile."""


class Cancelled(EngineError):
    """The run was stopped before there was a result to return."""
