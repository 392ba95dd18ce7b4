"""``napari-unet demo``: napari with a real stack and the plugin docked."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unet_engine.errors import EngineError

if TYPE_CHECKING:
    import argparse


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
        When napari or a Qt binding is not installed.
    """
    try:
        # By name: the engine knows the plugin only here, and works without it.
        demo = import_module("napari_unet.demo")
        code: int = demo.main(arguments.others)
    except ImportError as error:
        raise EngineError(
            f"napari cannot start ({error}); install it with a Qt binding: "
            "pip install 'napari-unet-finetune[pyqt5]'"
        ) from error
    return code
