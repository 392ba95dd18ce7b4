"""What was measured of this machine: how to run a network on it, and how fast that is.

Kept in one small file of the user's cache folder, for each machine, device and kind of
network; it may be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file

if TYPE_CHECKING:
    from unet_engine.models.spec import ModelSpec

CACHE_VARIABLE = "NAPARI_UNET_CACHE"
"""Environment variable that names another folder for what can be measured again."""

_GEOMETRY = (
    "architecture", "ndim", "in_channels", "depth", "width", "z_poolings",
    "dense_width",
)  # fmt: skip
"""Fields of a spec that decide how long its network takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How to run a kind of network on this machine.

    Attributes
    ----------
    block_edge
        Edge of a block in pixels of its map, see ``StagedNetwork``; 0: not measured.
    seconds_per_megapixel
        Of whole predictions, halo and reading included; 0: not measured.
    """

    block_edge: int = 0
    seconds_per_megapixel: float = 0.0


def recall(spec: ModelSpec, device: str) -> Calibration:
    """Return what is known; a calibration of zeros when nothing is."""
    values = _read().get(_key(spec, device), {})
    try:
        known = Calibration(**values)
        return Calibration(
            block_edge=max(0, int(known.block_edge)),
            seconds_per_megapixel=max(0.0, float(known.seconds_per_megapixel)),
        )
    except (TypeError, ValueError):
        return Calibration()


def remember(spec: ModelSpec, device: str, **values: Any) -> bool:
    """Keep fields of a ``Calibration``; False when the folder cannot be written."""
    known = dataclasses.replace(recall(spec, device), **values)
    entries = {**_read(), _key(spec, device): dataclasses.asdict(known)}
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_path()) as temporary:
            temporary.write_text(json.dumps(entries, indent=2))
    except (OSError, DataError):
        return False
    return True


def _path() -> Path:
    folder = os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path(
        "napari-unet-finetune", appauthor=False
    )
    return Path(folder) / "calibration.json"


def _read() -> dict[str, Any]:
    try:
        entries = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _key(spec: ModelSpec, device: str) -> str:
    geometry = [getattr(spec, name) for name in _GEOMETRY] + [spec.out_channels]
    if spec.restores:
        geometry.append(spec.slices)
    described = json.dumps([_machine(), device, os.cpu_count(), geometry])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@cache
def _machine() -> list[str]:
    """Describe the processor and the library that runs on it."""
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line for line in lines if line.startswith("model name")), model)
    return [platform.machine(), model, version("torch")]
