"""Tests of ``napari-unet models --for``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.images import open_image
from unet_engine.models.store import ModelStore
from unet_engine.prediction.proposals.proposal import propose

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image in which there is nothing to find."""
    pixels = np.random.default_rng(0).integers(90, 110, (64, 70)).astype(np.uint8)
    path = tmp_path_factory.mktemp("noise") / "noise.tif"
    tifffile.imwrite(path, pixels)
    return path


@pytest.mark.slow
def test_it_lists_what_the_library_finds(noise: Path, capfd: pytest.CaptureFixture):
    assert main(["models", "--for", str(noise), "--json"]) == 0
    printed = capfd.readouterr()
    rows = json.loads(printed.out)
    models = [info for info in ModelStore().list() if info.bundled]
    found = propose(open_image(noise), models)
    assert [row["name"] for row in rows] == [each.model.name for each in found.ranked]
    assert [row["score"] for row in rows] == pytest.approx(
        [each.score for each in found.ranked], abs=1e-3
    )
    assert not any(row["suits"] for row in rows)
    assert "no model is sure of noise.tif; paint two classes" in printed.err


def test_it_prints_a_table(noise: Path, capfd: pytest.CaptureFixture):
    assert main(["models", "--for", str(noise)]) == 0
    printed = capfd.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["name", "suits", "score", "reason"]
    assert "models on a part of noise.tif" in printed.err
    assert "score, 0 to 1: how sure a model is" in printed.err
    assert {line.split()[1] for line in lines[1:]} == {"no"}


def test_models_that_do_not_read_the_image_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture
):
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, np.zeros((2, 40, 40), np.uint8), metadata={"axes": "CYX"})
    assert main(["models", "--for", str(path)]) == 0
    printed = capfd.readouterr()
    assert "nuclei was not tried" in printed.err
    assert "--channel 0" in printed.err
    assert main(["models", "--for", str(path), "--channel", "0"]) == 0
    assert "was not tried" not in capfd.readouterr().err


def test_an_image_that_is_not_there_is_named(capfd: pytest.CaptureFixture):
    assert main(["models", "--for", "gone.tif"]) != 0
    assert "gone.tif" in capfd.readouterr().err
