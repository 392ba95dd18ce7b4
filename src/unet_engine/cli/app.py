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
from unet_engine.devices import without_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = "napari-unet"

# One line for each, so that the list of them loads none.
COMMANDS = {
    "predict": "Segment an image or a folder of images.",
    "objects": "Find and measure the objects of a mask.",
    "batch": "Segment many images, find and measure their objects.",
    "track": "Find the same objects in the frames of a time series.",
    "finetune": "Train a model on images with labels.",
    "pretrain": "Learn from images without labels.",
    "evaluate": "Measure a model on images with labels.",
    "models": "List the models; rename, delete, hand on and compare them.",
    "export": "Write a model as a package for other programs.",
    "images": "Make, show and change a list of images.",
    "report": "Write a report of a list of images and its model.",
    "worker": "Predict and train for other machines.",
    "demo": "Open napari with an image, a prediction and the plugin.",
    "doctor": "Find out what works here, and what to do about the rest.",
    "completion": "Let a shell complete commands and options.",
}

SUBCOMMANDS = {
    "models": {
        "list": "List the models, as models alone does.",
        "show": "Show what is known about a model.",
        "rename": "Give a model another name.",
        "duplicate": "Copy a model.",
        "note": "Write notes or the licence of a model.",
        "delete": "Delete models; restore brings them back.",
        "restore": "Bring a deleted model back, or list the deleted ones.",
        "export": "Copy a model to a file, with its card.",
        "import": "Add model files to the models.",
        "compare": "Compare two models, on an image too.",
    }
}
"""Commands of commands; the module ``NAME_commands`` has a function for each."""


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
    below = words[1] if words[1:] and words[1] in SUBCOMMANDS.get(words[0], ()) else ""
    app = build_app()
    try:
        if not words:
            raise CycloptsError(msg="no command is given")
        if "-" in words:
            raise CycloptsError(msg="- is no file; images do not go through pipes")
        if name is not None:
            load_command(app, *filter(None, (name, below)))
        command, values, _ = app.parse_args(
            words, exit_on_error=False, print_error=False
        )
    except CycloptsError as error:
        line = without_tokens(" ".join(str(error).split())).rstrip(".")
        program = " ".join(filter(None, (PROGRAM, name, below)))
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


def load_command(app: App, *names: str) -> App:
    """Import a command, whose help becomes the docstring of its function.

    Parameters
    ----------
    app
        As ``build_app`` returns it.
    *names
        Of a command, and of one of its commands.
    """
    command = with_subcommands(app, names[0])
    for name in names[1:]:
        command = command[name]
    function = command.default_command
    document = parse(inspect.getdoc(function) or "", DocstringStyle.NUMPYDOC)
    command.help = _reflow(document.description or "")
    examples = "\n".join(one.description or "" for one in document.examples)
    if examples:
        command.help_epilogue = f"Examples:\n{indent(examples, '  ')}"
    return command


def with_subcommands(app: App, name: str) -> App:
    """Import a command and add the commands that it has."""
    command = app[name]
    for number, (word, line) in enumerate(SUBCOMMANDS.get(name, {}).items()):
        place = f"unet_engine.cli.commands.{name}_commands:run_{word}"
        command.command(place, name=word, help=line, sort_key=number)
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
