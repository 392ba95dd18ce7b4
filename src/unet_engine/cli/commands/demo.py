"""``napari-unet demo``: napari with a real stack and the plugin docked."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Annotated

from cyclopts import Parameter

from unet_engine.cli.options.parameters import DebugOption
from unet_engine.errors import EngineError

_GROUP = "unet_engine.commands"
"""Entry points of packages that bring a command: ``(arguments) -> exit code``."""


def run(
    *others: Annotated[str, Parameter(allow_leading_hyphen=True)],
    options: DebugOption = DebugOption(),
) -> int:
    """Open napari with an image, a prediction and the plugin docked.

    Parameters
    ----------
    others
        Go to the demo as they are.
    options
        Of every command.

    Raises
    ------
    EngineError
        When the plugin, napari or a Qt binding is not installed.
    """
    found = entry_points(group=_GROUP, name="demo")
    try:
        if not found:
            raise ImportError("the plugin is not installed")
        code: int = next(iter(found)).load()(list(others))
    except ImportError as error:
        raise EngineError(
            f"napari cannot start ({error}); install it with a Qt binding: "
            "pip install 'napari-unet-finetune[pyqt6]'"
        ) from error
    return code
