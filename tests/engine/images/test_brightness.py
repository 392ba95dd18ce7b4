"""What becomes 0 and 1, and what of the colours is read, by the state of a model."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import data as samples

from unet_engine.errors import SpecError
from unet_engine.images import Image, Normalisation, Preparation, match_channels
from unet_engine.images.stains import Stain
from unet_engine.models.spec import ModelSpec

FOREGROUND = Preparation(brightness="foreground")
STAIN = Preparation(brightness="foreground", colour="haematoxylin")
NUCLEAR_DYE = Preparation(brightness="foreground", colour="nuclear dye")

HAEMATOXYLIN, EOSIN, VIOLET = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.5, 0.85, 0.2)
"""Optical densities of red, green and blue (Ruifrok and Johnston 2001), and those of
nuclei in Giemsa's stain."""


def field(nuclei: int, *, edge: int = 640, radius: float = 9.0) -> np.ndarray:
    """Nuclei of brightness 1000 on a noisy ground of 100, blurred."""
    rng = np.random.default_rng(3)
    y, x = np.ogrid[:edge, :edge]
    light = np.zeros((edge, edge))
    for cy, cx in rng.uniform(40, edge - 40, (nuclei, 2)):
        light = np.maximum(light, (y - cy) ** 2 + (x - cx) ** 2 < radius**2)
    light = 100 + 900 * ndimage.gaussian_filter(light, 1.0)
    return (light + rng.normal(0, 8, light.shape)).astype(np.uint16)


def limits(pixels: np.ndarray, preparation: Preparation = FOREGROUND):
    found = Normalisation.measure(Image.from_array(pixels, "YX"), preparation)
    return found.low[0], found.high[0]


def test_the_nuclei_of_a_sparse_field_are_as_bright_as_those_of_a_dense_one():
    sparse = field(2)
    covered = (sparse > 500).mean()
    assert 0.0008 < covered < 0.002
    for nuclei in (2, 30, 300):
        low, high = limits(field(nuclei))
        assert 60 < low < 110
        assert 800 < high < 1150
    assert limits(sparse, Preparation())[1] < 400, "percentiles take them for noise"


def hot_pixels(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels.flat[:: pixels.size // 40] = 65000
    return pixels


def debris(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    for y, x in np.random.default_rng(1).integers(0, 630, (6, 2)):
        pixels[y : y + 6, x : x + 9] = 4000
    return pixels


def haze(pixels: np.ndarray) -> np.ndarray:
    slope = np.linspace(0, 350, pixels.shape[1])
    return (pixels + slope).astype(np.uint16)


@pytest.mark.parametrize(
    ("disturb", "most"), [(hot_pixels, 0.1), (debris, 0.1), (haze, 0.4)]
)
def test_the_brightness_of_nuclei_is_moved_by_nothing_else(disturb, most):
    clear = field(60)
    low, high = limits(clear)
    disturbed = limits(disturb(clear))
    assert abs(disturbed[1] - high) < most * (high - low)
    assert abs(disturbed[0] - low) < most / 2 * (high - low)


def test_a_border_without_data_takes_no_part():
    clear = field(60)
    expected = limits(clear)
    for fill, pixels in ((0, clear), (np.nan, clear.astype(np.float32))):
        framed = np.pad(pixels, 300, constant_values=fill)
        assert limits(framed) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("pixels", [np.full((50, 40), 7, np.uint8), np.eye(40) > 0])
def test_an_image_without_contrast_has_limits(pixels):
    low, high = limits(pixels)
    assert (low, high) in ((7.0, 7.0), (0.0, 1.0))


def coloured(pixels: np.ndarray) -> Image:
    return match_channels(Image.from_array(pixels, "YXS"), 1)


def composite() -> np.ndarray:
    nuclei, cytoplasm = field(60), ndimage.gaussian_filter(field(60), 12)
    picture = np.stack([cytoplasm // 9, nuclei // 12, nuclei // 5], axis=-1)
    return np.clip(picture, 0, 255).astype(np.uint8)


def screenshot() -> np.ndarray:
    picture = np.full((400, 600, 3), 240, np.uint8)
    picture[:40] = (60, 90, 200)
    picture[60:300, 40:250] = (250, 220, 120)
    picture[::12, 300:580] = 20
    return picture


@pytest.mark.parametrize("preparation", [STAIN, NUCLEAR_DYE])
def test_a_stain_is_read_as_haematoxylin(preparation):
    tissue = samples.immunohistochemistry()
    image = coloured(tissue)
    found = Normalisation.measure(image, preparation)
    assert found.stain == Stain(255, "haematoxylin")
    assert any("haematoxylin" in note for note in found.notes)
    density = found.apply(found.marked(image).read())[0]
    red, _, blueness = np.moveaxis(tissue.astype(int), -1, 0)
    blue = (blueness > red + 5) & (tissue.sum(axis=-1) < 480)
    brown = red > blueness + 40
    assert blue.mean() > 0.01
    assert brown.mean() > 0.01
    assert density[blue].mean() > density[brown].mean() + 0.3


def stained(nuclear, tissue: float) -> tuple[np.ndarray, np.ndarray]:
    """Nuclei of a dye among fibres of eosin, and where they are."""
    light = field(300).astype(np.float32)
    nuclei = light > 550
    fibres = ndimage.gaussian_filter(np.random.default_rng(2).random(light.shape), 3)
    fibres = np.where(nuclei, 0.3, np.clip(40 * (fibres - 0.5) + 0.5, 0, 1.5))
    density = np.tensordot((light - 100) / 1000, nuclear, axes=0)
    density += tissue * np.tensordot(fibres, EOSIN, axes=0)
    return np.clip(240 * np.exp(-density), 0, 255).astype(np.uint8), nuclei


def test_the_dye_of_nuclei_is_blue_beside_another_and_violet_without():
    section, smear = stained(HAEMATOXYLIN, 1.0), stained(VIOLET, 0.02)
    for (picture, nuclei), dye in ((section, "haematoxylin"), (smear, "violet")):
        image = coloured(picture)
        found = Normalisation.measure(image, NUCLEAR_DYE)
        assert found.stain == Stain(255, dye)
        assert any(dye in note for note in found.notes)
        pixels = found.apply(found.marked(image).read())[0]
        others = pixels[~nuclei]
        assert pixels[nuclei].mean() - others.mean() > 4 * others.std()


def test_a_model_of_haematoxylin_reads_it_of_violet_nuclei_as_before():
    image = coloured(stained(VIOLET, 0.02)[0])
    assert Normalisation.measure(image, STAIN).stain == Stain(255, "haematoxylin")


def test_the_dye_of_nuclei_is_that_of_the_part_with_data():
    picture, _ = stained(VIOLET, 0.02)
    framed = np.pad(picture, ((90, 90), (90, 90), (0, 0)), constant_values=0)
    found = Normalisation.measure(coloured(framed), NUCLEAR_DYE)
    assert any(found.fills)
    assert found.stain == Stain(255, "violet")


@pytest.mark.parametrize(
    "picture",
    [composite(), screenshot(), np.stack(3 * [samples.page()], axis=-1)],
    ids=["composite", "screenshot", "grey"],
)
def test_colours_that_are_no_stain_are_read_as_luminance(picture):
    image = coloured(picture)
    found = Normalisation.measure(image, STAIN)
    assert found.stain is None
    assert any("luminance is read" in note for note in found.notes)
    assert found.marked(image).stain is None


def test_a_model_of_before_reads_a_stain_as_luminance():
    image = coloured(samples.immunohistochemistry())
    found = Normalisation.measure(image, ModelSpec().preparation)
    assert found.marked(image) is image
    expected = np.percentile(image.read(), (1, 99.8))
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(expected))


def test_a_stain_inside_a_white_margin_is_the_same_in_parts_as_in_one_piece():
    tissue = samples.immunohistochemistry()[:300, :280]
    framed = np.pad(tissue, ((40, 40), (40, 40), (0, 0)), constant_values=255)
    image = coloured(framed)
    found = Normalisation.measure(image, STAIN)
    alone = Normalisation.measure(coloured(tissue), STAIN)
    assert any(found.fills)
    assert found.high == pytest.approx(alone.high, rel=0.05)
    view = found.marked(image)
    whole = found.apply(view.read())
    parts = [
        found.apply(view.read((), (slice(a, a + 95), slice(0, 360))))
        for a in range(0, 380, 95)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert np.isnan(view.read()[0, :30]).all()


def test_deep_colours_are_read_as_those_of_eight_bits():
    tissue = samples.immunohistochemistry()
    pictures = [tissue, tissue.astype(np.uint16) * 257, tissue / np.float32(255)]
    read = []
    for picture in pictures:
        image = coloured(picture)
        found = Normalisation.measure(image, STAIN)
        read.append(found.apply(found.marked(image).read()))
    for other in read[1:]:
        np.testing.assert_allclose(other, read[0], atol=0.06)


@pytest.mark.parametrize("field_name", ["brightness", "colour"])
def test_a_choice_that_does_not_exist_is_refused(field_name):
    with pytest.raises(SpecError, match=f"{field_name} is 'x'; use one of"):
        ModelSpec(**{field_name: "x"})


def test_a_spec_keeps_how_its_images_are_read():
    spec = ModelSpec(brightness="foreground", colour="haematoxylin")
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert spec.preparation == STAIN
    before = ModelSpec().to_dict()
    assert not {"brightness", "colour"} & set(before), "earlier versions read it"
    assert ModelSpec.from_dict(before).preparation == Preparation()
