"""Images on disk, and a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.image_list.image_list import ImageList

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def write() -> Callable[..., Path]:
    """Write an image of one brightness: ``write(path, 3)``."""

    def made(path: Path, value: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.full((8, 8), value, np.uint8))
        return path

    return made


@pytest.fixture
def listed(tmp_path: Path, write: Callable[..., Path]) -> ImageList:
    """A list of ``images/0.tif`` to ``images/3.tif``, in the folder above."""
    files = [write(tmp_path / "images" / f"{n}.tif", n) for n in range(4)]
    images = ImageList.create(tmp_path / "plate.unet")
    images.add(files)
    images.save()
    return images
