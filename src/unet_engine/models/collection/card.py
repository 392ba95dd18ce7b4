"""The card of a model: a page of Markdown that goes with its file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unet_engine.models.beside.paths import card_path
from unet_engine.models.collection.description import describe_model

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo

_LICENCE = "licence of the weights"
"""Title of the row of a card that has the licence."""

_LICENCE_ROW = re.compile(rf"^\| {_LICENCE} \| (.*?) \|$", re.MULTILINE)

_PICTURE = re.compile(r"^!\[[^\]\n]*\]\([^)\n]*\)\n\n", re.MULTILINE)
"""A picture as a paragraph of its own."""

_LARGEST_CARD = 2**20
"""Bytes of a card that are read at most: it is a page or two."""


def licence_of(info: ModelInfo) -> str:
    """Return the licence of a model, of a bundled one that of its card; or ``""``."""
    if not info.bundled:
        return info.notes.licence
    return licence_in(read_card(card_path(info.path)))


def about(info: ModelInfo) -> str:
    """Return the notes on a model, of a bundled one the beginning of its card."""
    if not info.bundled:
        return info.notes.notes
    paragraphs = read_card(card_path(info.path)).split("\n\n")
    return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""


def read_card(path: Path) -> str:
    """Return the text of a card; ``""`` where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_CARD).decode("utf-8", errors="replace")
    except OSError:
        return ""


def licence_in(card: str) -> str:
    """Return the licence that a card states, or ``""``."""
    found = _LICENCE_ROW.search(card)
    return found[1] if found else ""


def card_of(info: ModelInfo, name: str) -> str:
    """Return the card of a model.

    Parameters
    ----------
    info
        A bundled model has one of its own.
    name
        That it gets.
    """
    own = read_card(card_path(info.path)) if info.bundled else ""
    if own:
        # The picture stays with the package.
        return _PICTURE.sub("", own)
    rows = [row for row in describe_model(info).rows if row[0] not in _NOT_ON_CARD]
    rows.append((_LICENCE, info.notes.licence or "not stated"))
    table = "\n".join(f"| {_cell(title)} | {_cell(text)} |" for title, text in rows)
    parts = [f"# {name}", info.notes.notes, f"| | |\n|---|---|\n{table}"]
    return "\n\n".join(part for part in parts if part) + "\n"


_NOT_ON_CARD = ("origin", "licence", "file", "size on disk")
"""Rows that hold on this computer only, or that the card has in its own words."""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
