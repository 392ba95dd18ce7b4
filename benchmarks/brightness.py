"""What looking for filled borders costs when the brightness of an image is measured.

::

    python benchmarks/brightness.py

Generated images of 16 million pixels, each measured as before a prediction and without
the search for fills, in turn in one process; the best of three times.
"""

from __future__ import annotations

import time

import numpy as np
from scipy import ndimage

import unet_engine.images.brightness.sample as sample
from unet_engine.images import Image, Normalisation

EDGE = 4096
"""Pixels of an edge: reading 16 megapixels takes longer than any constant cost."""


def images() -> dict[str, tuple[np.ndarray, str]]:
    """Return the images, ``(Y, X)`` uint16 or ``(Y, X, 3)`` uint8, and axes."""
    random = np.random.default_rng(0)
    plain = random.normal(400, 10, (EDGE, EDGE)).astype(np.uint16)
    bordered = plain.copy()
    bordered[:200] = bordered[-200:] = bordered[:, :200] = 0
    smooth = ndimage.gaussian_filter(random.normal(0, 1, plain.shape), 3)
    edge = round(EDGE / 3**0.5)
    colours = np.stack([plain[:edge, :edge] // 2] * 3, -1).astype(np.uint8)
    colours[:100] = 255
    return {
        "plain": (plain, "YX"),
        "border of zeros": (bordered, "YX"),
        "true zeros": (np.maximum(4000 * smooth, 0).astype(np.uint16), "YX"),
        "rotated": (ndimage.rotate(plain, 17, reshape=False, order=1), "YX"),
        "RGB with a white border": (colours, "YXS"),
    }


def seconds(image: Image) -> float:
    """Return the time of one measurement."""
    started = time.perf_counter()
    Normalisation.measure(image)
    return time.perf_counter() - started


def main() -> None:
    """Print a row for each image."""
    search = sample.find_fill
    print("| image | ms | ms without the search | ratio |\n|---|---|---|---|")
    for name, (pixels, axes) in images().items():
        image = Image.from_array(pixels, axes)
        times: dict[bool, list[float]] = {True: [], False: []}
        for searches in 3 * (True, False):
            sample.find_fill = search if searches else lambda _: ()
            times[searches].append(seconds(image))
        sample.find_fill = search
        best, plain = min(times[True]), min(times[False])
        print(f"| {name} | {1e3 * best:.0f} | {1e3 * plain:.0f} | {best / plain:.1f} |")


if __name__ == "__main__":
    main()
