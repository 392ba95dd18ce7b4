"""The reference of the commands: the help that they print themselves."""

from __future__ import annotations

import contextlib
import io
import os
from unittest import mock

from unet_engine.cli import main
from unet_engine.cli.app import COMMANDS, SUBCOMMANDS

# Wide enough for most usage lines, narrow enough for a page.
_COLUMNS = "88"


def command_names() -> tuple[str, ...]:
    """Return the names of all commands, in the order of the help."""
    return tuple(COMMANDS)


def help_text(*words: str) -> str:
    """Return what ``napari-unet WORDS --help`` prints."""
    printed = io.StringIO()
    plain = {"COLUMNS": _COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}
    with (
        mock.patch.dict(os.environ, plain),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return printed.getvalue().strip()


def commands_sections() -> str:
    """Return Markdown with the help of the program and a section for each command."""
    parts = [_block(help_text())]
    for name in command_names():
        parts += [f"## napari-unet {name}", _block(help_text(name))]
        for below in SUBCOMMANDS.get(name, ()):
            parts += [f"### napari-unet {name} {below}", _block(help_text(name, below))]
    return "\n\n".join(parts)


def _block(text: str) -> str:
    return f"```text\n{text}\n```"
