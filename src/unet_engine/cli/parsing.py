"""Parsers that take options and files in any order."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandParser(argparse.ArgumentParser):
    """Parser of one command: its files may stand before, between and after options.

    argparse itself wants all files in one place (``parse_intermixed_args`` aside, which
    cannot have commands).
    """

    _intermixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as ``argparse`` does, whatever the order."""
        # Up to Python 3.12 the intermixed parsing calls this very method twice.
        if self._intermixing:
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False


def command_first(arguments: Sequence[str], commands: Sequence[str]) -> list[str]:
    """Move the name of the command before options that stand before it."""
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        return list(arguments)
    if not arguments[0].startswith("-"):
        return list(arguments)
    places = [n for n, argument in enumerate(arguments) if argument in commands]
    if not places:
        return list(arguments)
    first = places[0]
    return [arguments[first], *arguments[:first], *arguments[first + 1 :]]
