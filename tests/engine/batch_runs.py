"""Small batches, and what they leave."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from unet_engine.batch import BatchConfig, plan_batch, run_batch
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.objects import ObjectConfig
from unet_engine.prediction.config import PredictConfig

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from unet_engine.models.checkpoint import Checkpoint

SEED = 9
"""Of random weights that find foreground in a third of such images."""

CONFIG = BatchConfig(
    prediction=PredictConfig(device="cpu"), finding=ObjectConfig(min_size=0)
)


def run(images: Path, model: Checkpoint, config: BatchConfig = CONFIG, **options):
    events: list = []
    sources = [images / "control", images / "treated"]
    plan = plan_batch(sources, images.parent / "out")
    result = run_batch(plan, model, config, on_event=events.append, **options)
    return result, events


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the records, by their names."""
    files = [p for p in folder.rglob("*.*") if p.is_file()]
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in files
        if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    }


def write_image(path: Path, seed: int, shape: tuple[int, ...] = (48, 56)) -> Path:
    """Write squares of random brightness, of which the model makes objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (*shape[:-2], *(n // 8 for n in shape[-2:])))
    pixels = coarse.repeat(8, axis=-1).repeat(8, axis=-2)
    tifffile.imwrite(path, pixels.astype(np.uint8), photometric="minisblack")
    return path


def write_images(folder: Path) -> Path:
    """Write two conditions of two images each."""
    for number, name in enumerate(("control/a", "control/b", "treated/a", "treated/c")):
        write_image(folder / f"{name}.tif", number)
    return folder


def save_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint
) -> Checkpoint:
    """Return a model that the store in a folder has as ``tiny``."""
    monkeypatch.setenv(MODELS_VARIABLE, str(folder))
    checkpoint = make_checkpoint(seed=SEED)
    ModelStore().save("tiny", checkpoint)
    return checkpoint
