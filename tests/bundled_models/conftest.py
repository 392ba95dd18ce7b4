"""Labelled sets at hand for the tests of what made the bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.io import imsave

from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@pytest.fixture
def write_sets(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of a folder of labelled sets; all but the first are in colour."""

    def write(names: Iterable[str], images: int) -> Path:
        for number, name in enumerate(names):
            for kind in "images", "labels":
                (tmp_path / "data" / name / kind).mkdir(parents=True)
            for seed in range(images):
                image, ids = nuclei((48, 56), seed=10 * number + seed, diameter=12)
                grey = (image / image.max() * 255).astype(np.uint8)
                pixels = np.dstack(3 * [grey]) if number else grey
                for kind, array in ("images", pixels), ("labels", ids.astype(np.uint8)):
                    path = tmp_path / "data" / name / kind / f"{number}-{seed}.png"
                    imsave(path, array, check_contrast=False)
        return tmp_path / "data"

    return write
