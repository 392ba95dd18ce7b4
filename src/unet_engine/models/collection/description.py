"""What is known about a model, in words: rows for a page, a table, a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from unet_engine.models.beside.paths import paths_beside
from unet_engine.models.collection.scores import held_out_score, recorded_score
from unet_engine.models.lineage import children_of, parent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.spec import ModelSpec

Origin = Literal["bundled", "own", "received"]
"""Whether a model came with the package, was made here, or in a file."""

_MOST_NAMES = 6
"""Images that are named; of more the number is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDescription:
    """What is known about a model.

    Attributes
    ----------
    rows
        Titles and texts, in the order in which they are shown. What is not known has
        no row.
    """

    rows: tuple[tuple[str, str], ...]

    def get(self, title: str) -> str:
        """Return the text of a row, ``""`` where there is none."""
        return dict(self.rows).get(title, "")


def describe_model(
    info: ModelInfo, models: Sequence[ModelInfo] = (), *, licence: str = ""
) -> ModelDescription:
    """Describe a model.

    Parameters
    ----------
    info
        The model.
    models
        Those among which its parent and children are.
    licence
        Of its weights.
    """
    spec = info.spec
    rows = [
        ("origin", _origin_text(info)),
        ("network", _network_text(info)),
        ("classes", ", ".join(spec.classes) or "none: it takes noise away"),
        ("channels", str(spec.in_channels)),
        ("object size", _object_size_text(spec)),
        ("pixel size", f"{spec.pixel_size_um:g} µm" if spec.pixel_size_um else ""),
        *_training_rows(info, models),
        ("licence", licence),
        ("size on disk", megabytes(size_on_disk(info))),
        ("file", str(info.path)),
    ]
    return ModelDescription(rows=tuple(row for row in rows if row[1]))


def origin_of(info: ModelInfo) -> Origin:
    """Return where a model came from."""
    if info.bundled:
        return "bundled"
    return "received" if info.notes.received else "own"


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


def data_of(info: ModelInfo) -> tuple[str, ...]:
    """Return the names of the images that its last training learned from."""
    data = info.history[-1].get("data") if info.history else None
    return tuple(map(str, data)) if isinstance(data, list) else ()


def date_of(info: ModelInfo) -> str:
    """Return the day on which it was trained last, ISO 8601; ``""`` if not recorded."""
    return str(info.history[-1].get("created") or "")[:10] if info.history else ""


def size_on_disk(info: ModelInfo) -> int:
    """Return the bytes of a model and of what lies beside it."""
    total = info.size
    for path in paths_beside(info.path):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def megabytes(size: int) -> str:
    """Return bytes as a text such as "7.8 MB"."""
    if size < 10**5:
        return f"{max(1, round(size / 1000))} kB"
    return f"{size / 10**6:.1f} MB"


def _origin_text(info: ModelInfo) -> str:
    texts = {
        "bundled": "came with the package",
        "own": "made here",
        "received": f"received as a file on {info.notes.received[:10]}",
    }
    return texts[origin_of(info)]


def _network_text(info: ModelInfo) -> str:
    spec = info.spec
    kind = "volumes" if spec.ndim == 3 else "planes"
    title = spec.row.title
    if spec.imported is not None:
        return f"{title} of {kind}, for prediction only ({spec.imported.source})"
    size = f"depth {spec.depth}, {spec.width} channels at the first level"
    parts = "" if info.classifier is None else f"; {' + '.join(parts_of(info))}"
    return f"{title} of {kind}, {size}{parts}"


def _object_size_text(spec: ModelSpec) -> str:
    if spec.object_size_px is None:
        return ""
    text = f"{spec.object_size_px:.3g} px"
    if spec.object_size_range is not None:
        least, most = spec.object_size_range
        text += f" ({least:.3g} to {most:.3g} px)"
    return text


def _training_rows(
    info: ModelInfo, models: Sequence[ModelInfo]
) -> list[tuple[str, str]]:
    parent = parent_of(info, models)
    children = [child.name for child in children_of(info, models)]
    gone = " (not there any more)" if parent is not None and not parent.model else ""
    return [
        ("tuned from", f"{parent.name}{gone}" if parent else ""),
        ("tuned to", _names(children)),
        ("trained on", _names(data_of(info))),
        ("trained", _training_text(info)),
        ("score", _score_text(info)),
    ]


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _training_text(info: ModelInfo) -> str:
    last: dict[str, Any] = info.history[-1] if info.history else {}
    steps, seconds = last.get("steps"), last.get("seconds")
    parts = [date_of(info)]
    if isinstance(steps, int):
        parts.append(f"{steps:,} steps")
    if isinstance(seconds, (int, float)):
        minutes = seconds / 60
        parts.append(f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s")
    return ", ".join(part for part in parts if part)


def _score_text(info: ModelInfo) -> str:
    score = recorded_score(info)
    before = held_out_score(info, "before")
    if score.mean is None or score.basis == "mask" or before is None:
        return score.text
    return f"{score.text} ({before:.3f} before)"
