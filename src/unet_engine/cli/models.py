"""``napari-unet models``: the models there are."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    import argparse

    from unet_engine.models.checkpoint import ModelInfo

_COLUMNS = ("name", "architecture", "channels", "classes", "parent", "trained", "iou")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "models",
        help="list the models",
        description="List the bundled models and your own.",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON array on stdout"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the models."""
    store = ModelStore()
    rows = [describe(info) for info in store.list()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows:
        print(f"no models yet; finetune saves them in {store.root}", file=sys.stderr)
        return 0
    table = [_COLUMNS, *(tuple(_cell(row[c]) for c in _COLUMNS) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_COLUMNS))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


def describe(info: ModelInfo) -> dict[str, Any]:
    """Return what there is to know about a model, as JSON values."""
    last = info.history[-1] if info.history else {}
    after = last.get("after")
    iou = after.get("iou") if isinstance(after, dict) else None
    return {
        "name": info.name,
        "architecture": info.spec.architecture,
        "channels": info.spec.in_channels,
        "classes": list(info.spec.classes),
        "parent": last.get("parent") or None,
        "trained": last.get("created"),
        # A model without classes has none, and NaN is no JSON.
        "iou": iou if isinstance(iou, float) and math.isfinite(iou) else None,
        "bundled": info.bundled,
        "path": str(info.path),
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
