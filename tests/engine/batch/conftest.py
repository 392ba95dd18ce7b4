"""Images of two conditions, and a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from batch_runs import save_model, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with two conditions of two images each."""
    return write_images(tmp_path / "images")


@pytest.fixture
def model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint
) -> Checkpoint:
    """Return a model that the store has as ``tiny``."""
    return save_model(tmp_path / "models", monkeypatch, make_checkpoint)
