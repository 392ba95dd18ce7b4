"""``ModelNotes``: what the user wrote about a model, in a file beside it.

The model file is signed and stays as it is: a note changes no weight, and a copy of the
model without its notes is as good.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.models.beside.paths import notes_path

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_FORMAT = "napari-unet-finetune notes"
_VERSION = 1
"""Of the file; one with a higher version is not changed."""

LONGEST_NOTES = 20_000
"""Characters of the notes: some pages; they are read with every list of models."""

_LONGEST_LICENCE = 500
"""Characters of the licence: a name and the address of its text."""

_LARGEST_FILE = 2**18
"""Bytes that a file of notes has at most: the longest ones in any script, twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNotes:
    """What is known of a model beside what its file states.

    Attributes
    ----------
    notes, licence
        What the user wrote.
    former_names
        Names that the model had, the first one first: others were tuned from it, and
        strokes painted for it, under these.
    received
        UTC date, ISO 8601, on which it was imported from a file; ``""`` for others.
    package
        SHA-256 of what was in the package that it was imported from; ``""`` for others.
    """

    notes: str = ""
    licence: str = ""
    former_names: tuple[str, ...] = ()
    received: str = ""
    package: str = ""

    def __post_init__(self) -> None:
        texts = (self.notes, self.licence, self.received, self.package)
        if not all(isinstance(text, str) for text in (*texts, *self.former_names)):
            raise DataError("notes and licence of a model are texts")
        for name, limit in (("notes", LONGEST_NOTES), ("licence", _LONGEST_LICENCE)):
            if len(getattr(self, name)) > limit:
                raise DataError(
                    f"the {name} of a model have at most {limit:,} characters; shorten "
                    "them, or keep the long text in a file of its own"
                )


def read_notes(model: Path) -> ModelNotes:
    """Read the notes of a model; empty ones where there are none.

    A file that cannot be read is logged, and left as it is.

    Parameters
    ----------
    model
        The model file.
    """
    try:
        return _read(notes_path(model))
    except DataError as error:
        logger.warning("left out the notes of %s: %s", model.stem, error)
        return ModelNotes()


def change_notes(model: Path, **changes: Any) -> ModelNotes:
    """Write fields of the notes of a model; the others stay.

    Parameters
    ----------
    model
        The model file, which is not touched.
    **changes
        Fields of ``ModelNotes``.

    Raises
    ------
    DataError
        When a text is too long, the folder cannot be written to, or there are notes
        that cannot be read, which would be lost.
    """
    notes = replace(_read(notes_path(model)), **changes)
    save_notes(model, notes)
    return notes


def save_notes(model: Path, notes: ModelNotes) -> None:
    """Write the notes of a model in place of those there are.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    values = {
        "format": _FORMAT,
        "version": _VERSION,
        "notes": notes.notes,
        "licence": notes.licence,
        "former_names": list(notes.former_names),
        "received": notes.received,
        "package": notes.package,
    }
    with whole_file(notes_path(model)) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def _read(path: Path) -> ModelNotes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ValueError("it is too long")
        values = json.loads(content)
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            raise ValueError("it is of another program")
        if values.get("version") != _VERSION:
            raise ValueError("it is of another version; update napari-unet-finetune")
        return ModelNotes(
            notes=values.get("notes", ""),
            licence=values.get("licence", ""),
            former_names=tuple(values.get("former_names", ())),
            received=values.get("received", ""),
            package=values.get("package", ""),
        )
    except FileNotFoundError:
        return ModelNotes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; check its permissions"
        ) from error
    except (ValueError, TypeError, RecursionError, DataError) as error:
        raise DataError(
            f"{path} holds no notes that this version can read ({error}); move it to "
            "another folder, and write the notes again"
        ) from error
