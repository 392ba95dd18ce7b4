"""Where the image of a layer lies on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def folder_of(layer: Any) -> str:
    """Return the folder of the file that a layer was opened from; empty for none."""
    path = None if layer is None else layer.source.path
    return str(Path(path).parent) if path else ""
