"""``napari-unet models``: the models there are."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from unet_engine.cli.options.parameters import DebugOption, Flag
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import ModelInfo

_COLUMNS = (
    "name",
    "architecture",
    "channels",
    "classes",
    "parts",
    "parent",
    "trained",
    "iou",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelsOptions(DebugOption):
    """How the models are listed.

    Parameters
    ----------
    json
        Print one JSON array on stdout.
    """

    json: Flag = False


def run(*, options: ModelsOptions = ModelsOptions()) -> int:
    """List the bundled models and your own.

    Parameters
    ----------
    options
        How they are listed.

    Examples
    --------
    napari-unet models
    napari-unet models --json
    """
    store = ModelStore()
    rows = [describe(info) for info in store.list()]
    if options.json:
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
        "parts": parts_of(info),
        "parent": last.get("parent") or None,
        "trained": last.get("created"),
        # A model without classes has none, and NaN is no JSON.
        "iou": iou if isinstance(iou, float) and math.isfinite(iou) else None,
        "bundled": info.bundled,
        "path": str(info.path),
    }


def parts_of(info: ModelInfo) -> list[str]:
    """Return what a model predicts by: a network, pixel classifiers, or both."""
    summary = info.classifier
    if summary is None:
        return ["network"]
    count = len(summary.fine)
    classifiers = "1 classifier" if count == 1 else f"{count} classifiers"
    if not info.has_network:
        return [classifiers]
    share = round(100 * summary.network_share)
    return [f"network {share} %", f"{classifiers} {100 - share} %"]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
