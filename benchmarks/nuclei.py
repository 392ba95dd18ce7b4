"""What the bundled ``nuclei`` model finds without any stroke, on images of many kinds.

::

    python benchmarks/nuclei.py --data ../shared/data

Held-out images of the sets that it was trained on; the fluorescent ones again as other
microscopes would have taken them: 16 bits above an offset, so dim that single photons
count, on a background that is uneven, inside a border that stitching filled, enlarged
and reduced, and a few of their nuclei alone in a large field; and sets of other
sources. IoU is of all pixels together, the scores of objects (the default of
``napari-unet objects``) are means over images. ``--object-size true`` states the median
diameter of the labelled objects in place of the estimate.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import find_objects
from skimage.transform import resize

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model_study.defaults import measure_kinds

from bundled_models.microscopes import ramp
from bundled_models.nuclei_images import FLUORESCENT, STAINED
from bundled_models.sets import list_files, read_labels
from unet_engine.images import Image, match_channels, open_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from model_study.defaults import Example

    Pixels = npt.NDArray[Any]

BORDER = 50
"""Width in pixels, a fifth of the smallest of the images."""
STACK = "fluo_ovule_nuclei_3d"
OWN = ("fluo_u2os_nuclei_hcs", "fluo_neuroblastoma_nuclei")
"""Other sets whose images were trained on but for those that are held out."""
OTHER = ("histology_monuseg_train",)
"""Sets of which nothing was trained on."""
SCALES = (0.5, 2.0, 4.0)
"""Of the fluorescent images: how else the same field may have been sampled."""
FIELD = 1000
"""Pixels along an edge of the field in which three nuclei lie alone."""


def sixteen_bits(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return the image in a tenth of 16 bits, above the offset of a camera."""
    noise = random.normal(0, 15, image.shape)
    return np.clip(2000 + 25.0 * image + noise, 0, 65535).astype(np.uint16)


def dim(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return some 10 photons where it is brightest, read with noise above an offset."""
    bright = np.percentile(image, 99.8)
    photons = random.poisson(1 + 10 * np.clip(image / max(bright, 1), 0, 1))
    noise = random.normal(0, 0.7, image.shape)
    return np.clip(100 + 4 * (photons + noise), 0, 65535).astype(np.uint16)


def uneven(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return it darker towards the corners, on a haze that grows in one direction."""
    y, x = (np.linspace(-1, 1, n) for n in image.shape)
    lit = 1 - 0.3 * (y[:, None] ** 2 + x**2)
    haze = 0.35 * np.percentile(image, 99.8) * ramp(image.shape, random)
    return np.clip(image * lit + haze, 0, 255).astype(np.uint8)


ALTERED = {"16 bits above an offset": sixteen_bits, "dim": dim, "uneven": uneven}


def held_out(data: Path, name: str) -> Iterator[Example]:
    """Yield the held-out images of a set and their object ids."""
    for image, labels in list_files(data / name, held_out=True):
        yield open_image(image), read_labels(labels)


def altered(
    data: Path, alter: Callable[[Pixels, np.random.Generator], Pixels]
) -> Iterator[Example]:
    """Yield the held-out fluorescent images as another microscope would take them."""
    for number, (image, labels) in enumerate(held_out(data, FLUORESCENT)):
        pixels = match_channels(image, 1).read()[0]
        changed = alter(pixels, np.random.default_rng(number))
        yield Image.from_array(changed, "YX"), labels


def bordered(data: Path, value: float) -> Iterator[Example]:
    """Yield the held-out fluorescent images inside a border of one value."""
    for image, labels in held_out(data, FLUORESCENT):
        pixels = match_channels(image, 1).read()[0].astype(np.float32)
        around = np.pad(pixels, BORDER, constant_values=value)
        yield Image.from_array(around, "YX"), np.pad(labels, BORDER)


def planes(data: Path) -> Iterator[Example]:
    """Yield every fifth plane of the confocal stack."""
    (path,) = (data / STACK / "images").iterdir()
    stack, labels = (open_image(p) for p in (path, data / STACK / "labels" / path.name))
    for index in list(stack.indices())[::5]:
        plane = Image.from_array(stack.read(index)[0], "YX")
        yield plane, labels.read(index)[0]


def whole_set(data: Path, name: str) -> Iterator[Example]:
    """Yield all images of a set."""
    for side in (True, False):
        for image, labels in list_files(data / name, held_out=side):
            yield open_image(image), read_labels(labels)


def scaled(data: Path, factor: float) -> Iterator[Example]:
    """Yield the held-out fluorescent images at another size."""
    for image, labels in held_out(data, FLUORESCENT):
        pixels = match_channels(image, 1).read()[0].astype(np.float32)
        shape = [round(n * factor) for n in pixels.shape]
        smaller = resize(pixels, shape, order=1, anti_aliasing=factor < 1)
        rows, columns = (
            ((np.arange(m) + 0.5) * n / m).astype(int)
            for n, m in zip(labels.shape, shape, strict=True)
        )
        yield Image.from_array(smaller, "YX"), labels[np.ix_(rows, columns)]


def sparse(data: Path) -> Iterator[Example]:
    """Yield three nuclei of each held-out fluorescent image alone in a large field."""
    for number, (image, labels) in enumerate(held_out(data, FLUORESCENT)):
        random = np.random.default_rng(number)
        pixels = match_channels(image, 1).read()[0].astype(np.float32)
        ground = pixels[labels == 0]
        field = random.normal(
            np.median(ground), max(1.0, 0.3 * ground.std()), 2 * [FIELD]
        )
        truth = np.zeros(field.shape, labels.dtype)
        for nucleus, box in enumerate(find_objects(labels)[:3], start=1):
            if box is None:
                continue
            inside = labels[box] == nucleus
            corner = random.integers(0, FIELD - max(inside.shape), 2)
            there = tuple(
                slice(c, c + n) for c, n in zip(corner, inside.shape, strict=True)
            )
            field[there][inside] = pixels[box][inside]
            truth[there][inside] = nucleus
        yield Image.from_array(np.clip(field, 0, 255).astype(np.uint8), "YX"), truth


def kinds(data: Path) -> dict[str, Iterator[Example]]:
    """Return the images of each row of the table."""
    return {
        "fluorescence": held_out(data, FLUORESCENT),
        **{f"fluorescence, {n}": altered(data, f) for n, f in ALTERED.items()},
        "fluorescence, border of zeros": bordered(data, 0),
        "fluorescence, border of NaN": bordered(data, np.nan),
        "stained and bright-field": held_out(data, STAINED),
        "planes of a confocal stack": planes(data),
        "fluorescence, sparse": sparse(data),
        **{f"fluorescence, {x:g} x": scaled(data, x) for x in SCALES},
        **{name: held_out(data, name) for name in OWN},
        **{name: whole_set(data, name) for name in OTHER},
    }


if __name__ == "__main__":
    measure_kinds(__doc__, "nuclei", kinds, (FLUORESCENT, STAINED, STACK, *OWN, *OTHER))
