"""The command that makes the bundled ``nuclei`` model: what it makes of its images."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import crops_path
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bundled_models.nuclei")


@pytest.fixture
def data(write_sets: Callable[..., Path], command: ModuleType) -> Path:
    """Return a folder with twelve images of each set, some of them held out."""
    return write_sets(command.SETS, images=12)


def test_a_retaken_image_shows_the_same_nuclei(command: ModuleType):
    image, ids = nuclei((128, 128), seed=0, diameter=24)
    pixels = (image / image.max() * 255).astype(np.uint8)
    brighter = []
    for seed in range(30):
        taken = command.retake(pixels, np.random.default_rng(seed))
        assert taken.dtype == np.uint16
        assert taken.shape == pixels.shape
        assert taken.min() > 0, "above the offset"
        found = taken > threshold_otsu(taken)
        brighter.append(found[ids > 0].mean() - found[ids == 0].mean())
    assert min(brighter) > 0.05
    assert np.median(brighter) > 0.5
    again = [command.retake(pixels, np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_an_empty_image_can_be_retaken(command: ModuleType):
    taken = command.retake(np.zeros((20, 30), np.uint8), np.random.default_rng(0))
    assert taken.shape == (20, 30)


def test_fluorescent_images_are_learned_from_twice(command: ModuleType, data: Path):
    pairs = command.read_pairs(data)
    counts = {name: sum(p.name == name for p in pairs) for name in command.SETS}
    sides = {
        name: len(list(command.list_files(data / name, held_out=False)))
        for name in command.SETS
    }
    fluorescent, stained = command.SETS
    assert counts == {
        fluorescent: 2 * sides[fluorescent],
        stained: sides[stained],
    }


def test_remembered_crops_are_of_held_out_images(command: ModuleType, data: Path):
    crops = command.remembered_crops(data)
    assert crops
    assert all(command.is_held_out(crop.name) for crop in crops)
    assert all((crop.target != IGNORE).all() for crop in crops)


def test_the_command_writes_a_model_and_its_crops(
    command: ModuleType,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    out = tmp_path / "mine.safetensors"
    arguments = ["--data", data, "--out", out, "--steps", "4"]
    monkeypatch.setattr(sys, "argv", ["nuclei", *map(str, arguments)])
    monkeypatch.setattr(command, "SPEC", command.SPEC.changed(depth=2, width=4))
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    command.main()
    assert Checkpoint.load(out).spec.width == 4
    assert crops_path(out).is_file()
    assert "foreground_iou" in capsys.readouterr().out
