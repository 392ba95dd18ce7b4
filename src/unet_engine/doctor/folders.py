"""Folders that are written to: whether they can be, and how much room is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.annotations.store import STROKES_VARIABLE, StrokeStore
from unet_engine.doctor.finding import Finding
from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable
from unet_engine.models.store import MODELS_VARIABLE, SPACE_NEEDED, ModelStore

if TYPE_CHECKING:
    from collections.abc import Iterator

_LITTLE = 2**30
"""Bytes of room below which a large mask or the crops of a training may not fit."""


def folder_findings() -> Iterator[Finding]:
    """Yield what there is to know about each folder that is written to."""
    yield _folder("models", ModelStore().root, MODELS_VARIABLE)
    yield _folder("strokes", StrokeStore().root, STROKES_VARIABLE)
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        yield Finding(
            area="folders",
            state="broken",
            text="no folder for temporary files can be written to",
            advice="free some space, or name a folder in TMPDIR",
        )
        return
    yield _folder("temporary files", temporary, "TMPDIR")


def _folder(what: str, folder: Path, variable: str) -> Finding:
    """Look at a folder, or, where it is still to be made, at the one it will lie in."""
    place = Path(os.path.abspath(folder))
    nearest = next(path for path in (place, *place.parents) if path.exists())
    advice = f"free some space, or name another folder in {variable}"
    try:
        check_writable(nearest / "probe")
        free = shutil.disk_usage(nearest).free
    except (DataError, OSError) as error:
        reason = error.__cause__ if isinstance(error, DataError) else error
        text = getattr(reason, "strerror", None) or str(reason)
        return Finding(
            area="folders",
            state="broken",
            text=f"{what}: {folder} cannot be written to: {text}",
            advice=f"make {nearest} a folder that is writable and has free space, or "
            f"name another one in {variable}",
        )
    room = _size(free)
    if free < SPACE_NEEDED:
        text = f"{what}: the disk of {folder} is full ({room} left)"
        return Finding(area="folders", state="broken", text=text, advice=advice)
    if free < _LITTLE:
        text = f"{what}: {folder}, only {room} left"
        return Finding(area="folders", state="note", text=text, advice=advice)
    return Finding(area="folders", state="ok", text=f"{what}: {folder}, {room} free")


def _size(size: float) -> str:
    return f"{size / 2**20:.0f} MB" if size < 2**30 else f"{size / 2**30:.0f} GB"
