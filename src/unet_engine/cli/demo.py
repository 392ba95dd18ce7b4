"""``napari-unet demo``: napari with a real stack and the plugin docked."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from unet_engine.errors import EngineError

if TYPE_CHECKING:
    import argparse

_GROUP = "unet_engine.commands"
"""Entry points of packages that bring a command: ``(arguments) -> exit code``."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="open napari with an image, a prediction and the plugin",
        description="Open napari with an image, a prediction and the plugin docked.",
        add_help=False,
    )
    parser.set_defaults(run=run, passes_on=True)


def run(arguments: argparse.Namespace) -> int:
    """Start the demo with the arguments that follow the command.

    Raises
    ------
    EngineError
        When the plugin, napari or a Qt binding is not installed.
    """
    found = entry_points(group=_GROUP, name="demo")
    try:
        if not found:
            raise ImportError("the plugin is not installed")
        code: int = next(iter(found)).load()(arguments.others)
    except ImportError as error:
        raise EngineError(
            f"napari cannot start ({error}); install it with a Qt binding: "
            "pip install 'napari-unet-finetune[pyqt6]'"
        ) from error
    return code
