"""Where the files of a model lie: beside it, under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CROPS_SUFFIX = ".examples"
"""Of the file beside that of a model, with crops of what it was trained on."""

_NOTES_SUFFIX = ".notes.json"
"""Of the file with what the user wrote about a model."""

_CARD_SUFFIX = ".md"
"""Of the card of a model, in Markdown."""


_PICTURE_SUFFIX = ".png"
"""Of the picture of what a bundled model finds."""


def crops_path(model: Path) -> Path:
    """Return where crops are kept of what a model was trained on."""
    return model.with_name(f"{model.stem}{_CROPS_SUFFIX}")


def notes_path(model: Path) -> Path:
    """Return where notes and licence of a model are kept."""
    return model.with_name(f"{model.stem}{_NOTES_SUFFIX}")


def card_path(model: Path) -> Path:
    """Return where the card of a bundled or an exported model is."""
    return model.with_name(f"{model.stem}{_CARD_SUFFIX}")


def picture_path(model: Path) -> Path:
    """Return where the example picture of a bundled model is."""
    return model.with_name(f"{model.stem}{_PICTURE_SUFFIX}")


def paths_beside(model: Path) -> tuple[Path, ...]:
    """Return where all that is kept with a model may lie, but for the model itself."""
    return crops_path(model), notes_path(model)
