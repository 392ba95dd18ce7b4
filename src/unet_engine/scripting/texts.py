"""Words of a command and calls of Python, made from settings."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

PROGRAM = "napari-unet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTexts:
    """A run as text.

    Attributes
    ----------
    words
        Of the command, without the program.
    python
        A script.
    note
        What the texts do not hold, a sentence; empty when they hold all.
    """

    words: tuple[str, ...]
    python: str
    note: str = ""

    @property
    def command(self) -> str:
        """The command as one line of a shell."""
        return in_shell((PROGRAM, *self.words))


def in_shell(words: Sequence[str]) -> str:
    """Return words as a line that the shell of this system takes apart again."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def option_words(
    config: Any, *, without: Collection[str] = (), always: Collection[str] = ()
) -> list[str]:
    """Return the options of a command for the fields of a configuration.

    Parameters
    ----------
    config
        A frozen dataclass of which the command has options, as ``settings_of`` makes.
    without
        Fields that have no option.
    always
        Fields that are stated even where they have their default.
    """
    words = []
    for name, value in _stated(config, without, always):
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option}={_word(value)}")
    return words


def call_of(
    config: Any, *, without: Collection[str] = (), always: Collection[str] = ()
) -> str:
    """Return the call of Python that makes a configuration.

    Parameters
    ----------
    config
        A frozen dataclass of plain values.
    without
        Fields that keep their default.
    always
        Fields that are stated even where they have their default.
    """
    stated = _stated(config, without, always)
    inside = ", ".join(f"{name}={value!r}" for name, value in stated)
    return f"{type(config).__name__}({inside})"


def _stated(
    config: Any, without: Collection[str], always: Collection[str]
) -> Iterator[tuple[str, Any]]:
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in without:
            continue
        if field.name in always or value != field.default:
            yield field.name, value


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_word, value))
    # All digits, so that the command has the same number.
    return repr(value) if isinstance(value, float) else str(value)
