"""The application: its commands, and what their help looks like."""

from __future__ import annotations

import inspect
import re
import sys
from textwrap import indent
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, Parameter
from docstring_parser import DocstringStyle, parse

from unet_engine import __version__
from unet_engine.cli.help_layout import HelpLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "napari-unet"

# One line for each, so that the list of them loads none.
COMMANDS = {
    "predict": "Segment an image or a folder of images.",
    "objects": "Find and measure the objects of a mask.",
    "finetune": "Train a model on images with labels.",
    "pretrain": "Learn from images without labels.",
    "evaluate": "Measure a model on images with labels.",
    "models": "List the models.",
    "images": "Make, show and change a list of images.",
    "demo": "Open napari with an image, a prediction and the plugin.",
    "completion": "Let a shell complete commands and options.",
}


def parse_command(
    arguments: Sequence[str],
) -> tuple[Callable[..., int | None], inspect.BoundArguments]:
    """Return the function that the arguments mean, and its values.

    Functions that print the help or the version return None.

    Raises
    ------
    SystemExit
        With 2, after a line on stderr, when the arguments are not understood.
    """
    words = _command_first(arguments)
    name = words[0] if words and words[0] in COMMANDS else None
    app = build_app()
    try:
        if not words:
            raise CycloptsError(msg="no command is given")
        if "-" in words:
            raise CycloptsError(msg="- is no file; images do not go through pipes")
        if name is not None:
            load_command(app, name)
        command, values, _ = app.parse_args(
            words, exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        line = " ".join(str(error).split()).rstrip(".")
        program = PROGRAM if name is None else f"{PROGRAM} {name}"
        see = " See" if line.endswith("?") else "; see"
        print(f"{PROGRAM}: error: {line}{see} {program} --help", file=sys.stderr)
        raise SystemExit(2) from None
    return command, values


def build_app() -> App:
    """Build the application; a command is loaded when it is looked up."""
    app = App(
        name=PROGRAM,
        help="Predict, fine-tune and evaluate segmentation models.",
        help_epilogue=f"{PROGRAM} COMMAND --help explains a command, with examples.",
        version=__version__,
        help_format="plaintext",
        help_formatter=HelpLayout(),
        # Of an option that is given twice the last one counts: who follows a message
        # adds what it names. Nothing is JSON: a file may be called [a,b].tif.
        default_parameter=Parameter(
            allow_repeating=True, negative_iterable=(), json_dict=False, json_list=False
        ),
    )
    for number, (name, line) in enumerate(COMMANDS.items()):
        # The plugin, which brings the demo, has the help of it.
        own_help = {"help_flags": (), "version_flags": ()} if name == "demo" else {}
        place = f"unet_engine.cli.commands.{name}:run"
        app.command(place, name=name, help=line, sort_key=number, **own_help)
    return app


def load_command(app: App, name: str) -> App:
    """Import a command, whose help becomes the docstring of its function."""
    command = app[name]
    function = command.default_command
    document = parse(inspect.getdoc(function) or "", DocstringStyle.NUMPYDOC)
    command.help = _reflow(document.description or "")
    examples = "\n".join(one.description or "" for one in document.examples)
    if examples:
        command.help_epilogue = f"Examples:\n{indent(examples, '  ')}"
    return command


def _reflow(text: str) -> str:
    """Join the lines of each paragraph: terminals are wider and narrower than code."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def _command_first(arguments: Sequence[str]) -> list[str]:
    """Move the name of the command before options that stand before it."""
    if not arguments or not arguments[0].startswith("-"):
        return list(arguments)
    places = [n for n, argument in enumerate(arguments) if argument in COMMANDS]
    if not places or arguments[0] in ("-h", "--help", "--version"):
        return list(arguments)
    first = places[0]
    return [arguments[first], *arguments[:first], *arguments[first + 1 :]]
