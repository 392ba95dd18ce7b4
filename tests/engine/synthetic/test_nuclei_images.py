"""Generated nuclei: true to their seed, their labels and the look of a microscope."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops
from skimage.segmentation import find_boundaries

from unet_engine.errors import DataError
from unet_engine.synthetic.nuclei import nuclei


def test_same_seed_same_image():
    image, labels = nuclei((96, 96), seed=3)
    again, labels_again = nuclei((96, 96), seed=3)
    other, _ = nuclei((96, 96), seed=4)
    assert np.array_equal(image, again)
    assert np.array_equal(labels, labels_again)
    assert not np.array_equal(image, other)


@pytest.mark.parametrize("shape", [(192, 160), (8, 96, 96)])
def test_each_id_is_one_object_and_ids_are_consecutive(shape):
    image, labels = nuclei(shape, seed=0)
    assert image.shape == labels.shape == shape
    assert (image.dtype, labels.dtype) == (np.uint16, np.int32)
    ids = np.unique(labels)
    assert ids.tolist() == list(range(len(ids)))
    assert label(labels, connectivity=1).max() == labels.max() > 3


def test_nuclei_have_the_diameter_and_cover_about_a_fifth():
    _, labels = nuclei((512, 512), seed=1, diameter=26)
    inner = [r for r in regionprops(labels) if 0 not in r.bbox and 512 not in r.bbox]
    diameters = [r.equivalent_diameter_area for r in inner]
    assert 22 < np.median(diameters) < 30
    assert 0.12 < (labels > 0).mean() < 0.3


def test_some_nuclei_touch():
    _, labels = nuclei((256, 256), seed=0)
    inside = labels > 0
    between = find_boundaries(labels) & ~find_boundaries(inside)
    assert between.any()


def test_nuclei_are_brighter_than_their_background_and_differ():
    image, labels = nuclei((256, 256), seed=0)
    background = np.median(image[labels == 0])
    means = np.array([r.intensity_mean for r in regionprops(labels, image)])
    assert means.min() > background
    assert means.std() / means.mean() > 0.15, "they vary in brightness"


def test_fewer_photons_are_noisier():
    def grain(photons):
        image, labels = nuclei((128, 128), seed=0, photons=photons)
        signal = image[labels > 0] - 100.0
        rough = (image - gaussian_filter(image.astype(float), 1))[labels > 0]
        return rough.std() / signal.mean()

    assert grain(20) > 2 * grain(2000)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (64, 40), (3, 1, 40), (1, 64, 64)])
def test_any_size_works(shape):
    image, labels = nuclei(shape, seed=0)
    assert image.shape == labels.shape == shape


def test_count_is_kept_when_there_is_room():
    _, labels = nuclei((256, 256), seed=0, count=5, diameter=20)
    assert labels.max() == 5
    _, empty = nuclei((64, 64), seed=0, count=0)
    assert not empty.any()


@pytest.mark.parametrize("shape", [(64,), (0, 64), (2, 2, 64, 64)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match="neither"):
        nuclei(shape, seed=0)
