"""Tests of what is found about model files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.doctor import models
from unet_engine.doctor.models import model_findings
from unet_engine.models import store
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.imported_network import ImportedNetwork
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeCheckpoint


@pytest.fixture
def bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint: MakeCheckpoint
) -> Path:
    """Return the file of the only bundled model."""
    path = tmp_path / "bundled" / "nuclei.safetensors"
    path.parent.mkdir()
    make_checkpoint().save(path)
    monkeypatch.setattr(
        store, "_bundled_paths", lambda: tuple(path.parent.glob("*.safetensors"))
    )
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "own"))
    return path


def test_models_that_are_well(bundled: Path, make_checkpoint: MakeCheckpoint):
    ModelStore().save("mine", make_checkpoint())
    found = list(model_findings())
    assert [f.state for f in found] == ["ok", "ok"]
    assert found[0].text == "nuclei: complete and unchanged"
    assert found[1].text == "1 of your own can be read"


def test_a_weight_that_was_changed(bundled: Path):
    content = bytearray(bundled.read_bytes())
    content[-3] ^= 1
    bundled.write_bytes(content)
    found = next(iter(model_findings()))
    assert found.state == "broken"
    assert "was changed" in found.text
    assert "install it again" in found.advice


def test_a_bundled_model_that_is_cut_off(bundled: Path):
    bundled.write_bytes(bundled.read_bytes()[:-10])
    found = [f for f in model_findings() if f.state == "broken"]
    assert ["truncated" in f.text for f in found] == [True, False]
    assert found[1].text == "there is no bundled model that can be read"
    assert {f.advice.split()[1] for f in found} == {"uninstall"}


def test_a_damaged_model_of_the_user(bundled: Path):
    root = ModelStore().root
    root.mkdir()
    (root / "mine.safetensors").write_bytes(b"nothing")
    (found,) = [f for f in model_findings() if f.state == "broken"]
    assert "mine.safetensors" in found.text
    assert found.advice == f"copy mine.safetensors again, or move it out of {root}"
    (root / "mine.safetensors").unlink()
    found = list(model_findings())
    assert [f.state for f in found] == ["ok", "ok"]
    assert found[1].text == "none of your own yet"


def test_a_model_of_another_program_needs_its_runtime(
    bundled: Path, monkeypatch: pytest.MonkeyPatch
):
    network = ImportedNetwork(
        input_axes="bcyx",
        output_axes="bcyx",
        least=(8, 8),
        step=(8, 8),
        halo=(4, 4),
        crop=(0, 0),
    )
    spec = ModelSpec(architecture="imported", imported=network)
    weights = {"onnx": np.zeros(4, np.uint8)}
    ModelStore().save("theirs", Checkpoint(spec, weights, ({"name": ""},)))
    assert [f.state for f in model_findings()] == ["ok", "ok"]
    monkeypatch.setattr(models, "installed_version", lambda _: "")
    (found,) = [f for f in model_findings() if f.state == "broken"]
    assert found.text.startswith("theirs: of another program")
    assert "[bioimageio]" in found.advice
