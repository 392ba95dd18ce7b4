"""The page of a bundled model: its card, and what its own file records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN_SETTINGS = ("batch", "crop", "learning_rate", "elastic", "validation", "seed")


def model_page(card: Path) -> str:
    """Return the Markdown of a model's page.

    Parameters
    ----------
    card
        The card, ``NAME.md``, which lies beside ``NAME.safetensors``.
    """
    file = card.with_suffix(".safetensors")
    # The header alone has no number of weights.
    with safe_open(file, framework="np") as opened:
        metadata = opened.metadata()
        weights = [opened.get_slice(name).get_shape() for name in opened.keys()]  # noqa: SIM118
    numbers = sum(_product(shape) for shape in weights)
    return "\n\n".join(
        [
            card.read_text("utf-8").rstrip(),
            "## Recorded in the file",
            _facts(file, json.loads(metadata["spec"]), metadata["digest"], numbers),
            "The history of its training, as the file carries it:",
            _history(json.loads(metadata["history"])),
        ]
    )


def _product(shape: list[int]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def _facts(file: Path, spec: dict[str, Any], digest: str, numbers: int) -> str:
    rows = {
        "file": f"`{file.name}`, {file.stat().st_size / 2**20:.1f} MiB",
        "weights and statistics": f"{numbers:,} numbers",
        "SHA-256 of the weights": f"`{digest}`",
        **{name: _shown(value) for name, value in spec.items() if value is not None},
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in rows.items())


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else f"`{value}`"


def _history(history: list[dict[str, Any]]) -> str:
    head = "| date | data | steps | minutes | IoU before | IoU after | settings |\n"
    rows = [_training(entry) for entry in history]
    return head + "|---|---|---|---|---|---|---|\n" + "\n".join(rows)


def _training(entry: dict[str, Any]) -> str:
    settings = entry.get("config", {"seed": entry.get("seed")})
    shown = ", ".join(f"{n} {settings[n]}" for n in _SHOWN_SETTINGS if n in settings)
    cells = [
        entry["created"][:10],
        ", ".join(entry["data"]),
        str(entry["steps"]),
        f"{entry['seconds'] / 60:.0f}",
        _iou(entry.get("before")),
        _iou(entry.get("after")),
        shown,
    ]
    return f"| {' | '.join(cells)} |"


def _iou(scores: dict[str, float] | None) -> str:
    return f"{scores['iou']:.3f}" if scores else "not recorded"
