"""Types of the parameters of commands, and parameters made from the settings of a run.

Annotations here are read at run time, also by the modules of the commands, so this
module must not import ``annotations`` from ``__future__``.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, TypeVar, get_args
from typing import get_type_hints as type_hints_of

from cyclopts import Group, Parameter, Token
from docstring_parser import DocstringStyle, parse

from unet_engine.errors import SpecError
from unet_engine.images.zarr.addresses import address_of
from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX

# Groups of the help, below the everyday parameters, in this order.
READING = Group("Reading images", sort_key=1)
LABELS = Group("Meaning of label values", sort_key=2)
NETWORK = Group("Size of a fresh network", sort_key=3)
EXPERT = Group("Expert settings", sort_key=4)
GENERAL = Group("General", sort_key=5)

_TOO_LARGE = 2**31
"""torch and numpy hold integers below; inf and nan are refused with it."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

Settings = Mapping[str, Any]
"""Fields of a configuration that were given, by name; the others have no entry."""

NO_SETTINGS: Settings = MappingProxyType({})


def parse_path(kind: Any, tokens: Sequence[Token]) -> Path:
    """Read a path, with ``~`` for the user's folder.

    Raises
    ------
    ValueError
        When it is empty, as of a shell variable that is not set, or an address of the
        web.
    """
    text = tokens[-1].value
    if not text:
        raise ValueError("the path is empty")
    if address_of(text) is not None:
        raise ValueError(
            f"{text} is an address; copy the file to this computer and give its path"
        )
    path = Path(text)
    # A shell leaves the ~ of --images=~/data as it is.
    return path.expanduser() if text[0] == "~" and not path.exists() else path


def parse_source(kind: Any, tokens: Sequence[Token]) -> Path:
    """Read a path as ``parse_path`` does, or the address of a zarr.

    Raises
    ------
    ValueError
        When it is empty, or the address of something else.
    """
    return _parse_zarr(
        tokens,
        "{} is the address of something that is no zarr; copy the file to this "
        "computer and give its path",
    )


def parse_result(kind: Any, tokens: Sequence[Token]) -> Path:
    """Read a path as ``parse_path`` does, or the address where a zarr is written.

    Raises
    ------
    ValueError
        When it is empty, or the address of something else.
    """
    return _parse_zarr(
        tokens,
        "{} is an address, and results at an address are zarrs; let it end in "
        f"{ZARR_SUFFIX}, or give a path of this computer",
    )


def _parse_zarr(tokens: Sequence[Token], otherwise: str) -> Path:
    text = tokens[-1].value
    if address_of(text) is None:
        return parse_path(Path, tokens)
    # A label image lies in the zarr of its image.
    if ZARR_SUFFIX in text.lower():
        return Path(text)
    raise ValueError(otherwise.format(text))


def parse_paths(kind: Any, tokens: Sequence[Token]) -> tuple[Path, ...]:
    """Read several paths, each as ``parse_path`` does."""
    return tuple(parse_path(kind, [token]) for token in tokens)


def parse_axes(kind: Any, tokens: Sequence[Token]) -> str:
    """Read letters of axes, in any case."""
    return tokens[-1].value.upper()


def parse_whole(kind: Any, tokens: Sequence[Token]) -> int | str:
    """Read a whole number, or a word that may stand for it.

    The library would round others to one that nobody gave.
    """
    text = tokens[-1].value.strip()
    words = [word for part in get_args(kind) for word in get_args(part)]
    if text in words:
        return text
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        choices = " or ".join(("int", *words))
        raise ValueError(f'unable to convert "{text}" into {choices}')
    return int(text)


UserPath = Annotated[Path, Parameter(converter=parse_path)]
ResultPath = Annotated[Path, Parameter(converter=parse_result)]
SourcePath = Annotated[Path, Parameter(converter=parse_source)]
UserAxes = Annotated[str, Parameter(converter=parse_axes)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
"""A switch that is off, and that no option turns off."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DebugOption:
    """Of every command.

    Parameters
    ----------
    debug
        Print a traceback in place of the one line of an error.
    """

    debug: Annotated[Flag, Parameter(group=GENERAL)] = False


# Option classes have no slots: some inherit from two of them.
@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class QuietOption(DebugOption):
    """Of every command that works on files.

    Parameters
    ----------
    quiet
        No progress bar and no notes.
    """

    quiet: Annotated[Flag, Parameter(alias="-q", group=GENERAL)] = False


def settings_of(
    config: type[Any],
    *,
    everyday: Collection[str] = (),
    without: Collection[str] = (),
    name: str = "settings",
) -> Callable[[_Command], _Command]:
    """Give a command an option for every field of a configuration.

    Type, choices and default are those of the field, the help is that of the numpy
    docstring of the class. The command gets those that were given as ``settings``; the
    class checks their limits.

    Parameters
    ----------
    config
        A frozen dataclass, such as ``PredictConfig``.
    everyday
        Fields that stand among the parameters that everybody needs; the others are for
        experts.
    without
        Fields that get no option.
    name
        Of the parameter of the command that gets them.
    """
    hints = type_hints_of(config, include_extras=True)
    texts = field_texts(config)
    options: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        if field.name in without:
            continue
        parameter = Parameter(
            help=f"{texts[field.name]} (default: {field.default})",
            validator=partial(_check_size, field.name),
        )
        if int in (hints[field.name], *get_args(hints[field.name])):
            parameter = Parameter.combine(parameter, Parameter(converter=parse_whole))
        if field.name not in everyday:
            parameter = Parameter.combine(parameter, Parameter(group=EXPERT))
        options[field.name] = Annotated[hints[field.name], parameter]
    typed = TypedDict("Options", options, total=False)  # type: ignore[misc]

    def decorate(command: _Command) -> _Command:
        command.__annotations__[name] = Annotated[typed, Parameter(name="*")]
        return command

    return decorate


def field_texts(config: type[Any]) -> Mapping[str, str]:
    """Return what the numpy docstring of a class states of each field, on one line."""
    document = parse(inspect.getdoc(config) or "", DocstringStyle.NUMPYDOC)
    return {
        one.arg_name: " ".join(str(one.description).split()) for one in document.params
    }


def _check_size(name: str, kind: Any, value: Any) -> None:
    # A form has limits; a command line takes inf, and integers that torch cannot hold.
    if isinstance(value, (int, float)) and not abs(value) < _TOO_LARGE:
        raise SpecError(f"{name} is {value}; use a number that is less extreme")
