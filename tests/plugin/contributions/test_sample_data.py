"""Samples: as documented, opened through napari's own menu path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage import data

from napari_unet.contributions import sample_data

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

PLUGIN = "napari-unet-finetune"


@pytest.fixture
def viewer(make_napari_viewer: Callable[[], napari.Viewer]) -> napari.Viewer:
    return make_napari_viewer()


def test_ihc_is_the_real_image(viewer: napari.Viewer) -> None:
    (layer,) = viewer.open_sample(PLUGIN, "ihc")
    assert layer.rgb
    np.testing.assert_array_equal(layer.data, data.immunohistochemistry())


def test_fields_are_the_quarters_of_the_real_image(viewer: napari.Viewer) -> None:
    (layer,) = viewer.open_sample(PLUGIN, "ihc_fields")
    assert layer.rgb
    assert layer.data.shape == (4, 256, 256, 3)
    upper, lower = np.hstack(layer.data[:2]), np.hstack(layer.data[2:])
    np.testing.assert_array_equal(
        np.vstack([upper, lower]), data.immunohistochemistry()
    )


def test_stack_comes_with_its_truth(viewer: napari.Viewer) -> None:
    image, truth = viewer.open_sample(PLUGIN, "nuclei_stack")
    assert image.data.ndim == 3
    assert truth.data.shape == image.data.shape
    assert not truth.visible
    assert truth.data.max() > 20
    inside, outside = image.data[truth.data > 0], image.data[truth.data == 0]
    assert inside.mean() > 2 * outside.mean()
    np.testing.assert_array_equal(truth.scale, image.scale)


def test_stack_is_the_same_each_time() -> None:
    first, second = sample_data.nuclei_stack(), sample_data.nuclei_stack()
    np.testing.assert_array_equal(first[0][0], second[0][0])
