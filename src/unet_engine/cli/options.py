"""Command line options made from the settings of a run."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin
from typing import get_type_hints as type_hints_of

from unet_engine.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_TOO_LARGE = 2**31


def parse_path(text: str) -> Path:
    """Read a path, with ``~`` for the user's folder.

    An empty one, of a shell variable that is not set, is an error, and so is an address
    of the web.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", text):
        raise argparse.ArgumentTypeError(
            f"{text} is an address; copy the file to this computer and give its path"
        )
    if text == "-":
        raise argparse.ArgumentTypeError("- is no file; images do not go through pipes")
    path = Path(text)
    # A shell leaves the ~ of --images=~/data as it is.
    return path.expanduser() if text[0] == "~" and not path.exists() else path


def add_config_options(
    parser: argparse.ArgumentParser,
    config: type[Any],
    *,
    without: Collection[str] = (),
) -> None:
    """Add an option for every field of a frozen dataclass.

    Type, choices and default come from the field, the help from the numpy docstring of
    the class. An option that is not given leaves no trace in the parsed arguments.

    Parameters
    ----------
    parser
        The parser of the command.
    config
        The dataclass, such as ``PredictConfig``.
    without
        Fields that get no option.
    """
    group = parser.add_argument_group("settings")
    hints = type_hints_of(config, include_extras=True)
    texts = parameter_texts(config)
    for field in dataclasses.fields(config):
        if field.name in without:
            continue
        text = f"{texts[field.name]} (default: {field.default})".replace("%", "%%")
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            default=argparse.SUPPRESS,
            help=text,
            **_argument(hints[field.name]),
        )


def _argument(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": hint, "metavar": "N" if hint is int else "X"}


def config_from(
    arguments: argparse.Namespace, config: type[Any], **defaults: Any
) -> Any:
    """Make the dataclass from the options that were given.

    Parameters
    ----------
    arguments
        What the parser returned.
    config
        The class that ``add_config_options`` was called with.
    **defaults
        Values for fields that were not given.

    Raises
    ------
    SpecError
        When a value is out of its range.
    """
    names = {field.name for field in dataclasses.fields(config)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    for name, value in given.items():
        _check_size(name, value)
    return config(**(defaults | given))


def _check_size(name: str, value: Any) -> None:
    # A form has limits; a command line takes inf, and integers that torch cannot hold.
    if isinstance(value, (int, float)) and not abs(value) < _TOO_LARGE:
        raise SpecError(f"{name} is {value}; use a number that is less extreme")


def parameter_texts(documented: type[Any]) -> Mapping[str, str]:
    """Return the text of each parameter in a numpy docstring, on one line."""
    _, _, section = (inspect.getdoc(documented) or "").partition("Parameters\n---")
    found: dict[str, list[str]] = {}
    for line in section.splitlines()[1:]:
        if re.fullmatch(r"\w+", line):
            found[line] = []
        elif line.startswith(" ") and found:
            found[next(reversed(found))].append(line.strip())
        elif line.strip():
            break
    return {name: " ".join(lines) for name, lines in found.items()}
