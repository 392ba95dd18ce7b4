"""Batches of crops, real and generated, with the targets of every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from bundled_models.real_images import SETS, RealImage, read_set
from unet_engine.labels import IGNORE
from unet_engine.metrics import Confusion
from unet_engine.synthetic.scenes import (
    FAMILIES,
    Scene,
    degrade,
    distance_target,
    objects_target,
)
from unet_engine.synthetic.scenes.scene import BOUNDARY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from torch import nn

REAL_SHARE = 0.4
"""Part of the crops that are real: the sets are few, the scenes endless."""
AROUND_OBJECT = 0.6
"""Part of the real crops with an object inside; the others are anywhere."""
WEIGHTS = {
    "transmission_section": 3.0,
    "milled_block": 3.0,
    "vessels": 3.0,
    "differential_contrast": 2.5,
    "blood_smear": 1.5,
    "tissue_section": 1.5,
    "fluorescent_nuclei": 0.6,
    "granules": 0.7,
    "textures": 0.6,
}
"""How often a family is drawn; 1 if it is not here."""

_FEW, _SMALL = 16, 256
"""Images of a set, and pixels of their edge, in a quick evaluation."""
_DIVISOR = 32
"""A multiple of what any U-Net of up to 5 poolings takes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Crops and their targets.

    Attributes
    ----------
    images
        ``(N, 3, Y, X)`` float32, normalised.
    target
        ``(N, Y, X)`` int64 of background, interior, boundary, or ``IGNORE``.
    task_targets
        ``(N, tasks, Y, X)`` uint8: 0, 1 or ``IGNORE``.
    measures, valid
        ``(N, 2, Y, X)`` float32: distance to the next edge and clean brightness, and
        1 where they are known.
    """

    images: Tensor
    target: Tensor
    task_targets: Tensor
    measures: Tensor
    valid: Tensor


class Crop(NamedTuple):
    """A crop and its targets; the parts are those of a ``Batch``, without ``N``."""

    image: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    task_targets: npt.NDArray[np.uint8]
    measures: npt.NDArray[np.float32]
    valid: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        scene: Scene,
        picture: npt.NDArray[np.float32],
        clean: npt.NDArray[np.float32] | None = None,
    ) -> Crop:
        """Put a picture of a scene, ``(3, Y, X)``, together with the scene's targets.

        ``clean`` is ``(Y, X)``, its brightness without noise; None where unknown.
        """
        known = (scene.target != IGNORE).astype(np.float32)
        unknown = np.zeros_like(known)
        brightness = unknown if clean is None else clean
        return cls(
            image=picture.astype(np.float32),
            target=scene.target,
            task_targets=scene.task_targets(),
            measures=np.stack([distance_target(scene.target), brightness]),
            valid=np.stack([known, unknown + (clean is not None)]),
        )

    def turned(self, rng: np.random.Generator) -> Crop:
        """Return the crop turned by quarters and mirrored at random."""
        quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        turned: list[Any] = [np.rot90(part, quarters, axes=(-2, -1)) for part in self]
        if mirrored:
            turned = [part[..., ::-1] for part in turned]
        return Crop(*map(np.ascontiguousarray, turned))


class RealCrops:
    """Images that may be trained on, and those of them that are held out.

    Parameters
    ----------
    images, held_out
        Of each set by its name.
    """

    def __init__(
        self,
        images: dict[str, list[RealImage]],
        held_out: dict[str, list[RealImage]],
    ) -> None:
        self.images = {name: found for name, found in images.items() if found}
        self.held_out = {name: found for name, found in held_out.items() if found}

    @classmethod
    def read(cls, data: Path) -> RealCrops:
        """Read the sets that a folder has."""
        names = [name for name in SETS if (data / name).is_dir()]
        kept, held = (
            {name: read_set(data, name, held_out=out) for name in names}
            for out in (False, True)
        )
        return cls(kept, held)

    def draw(self, rng: np.random.Generator, size: int) -> Crop:
        """Draw a crop of ``size`` pixels, zoomed, with its targets."""
        names = list(self.images)
        weights = np.array([SETS[name].share for name in names])
        images = self.images[rng.choice(names, p=weights / weights.sum())]
        image = images[rng.integers(len(images))]
        seen = round(size * float(np.exp(rng.uniform(np.log(0.6), np.log(1.7)))))
        pixels, ids, walls = _cut(image, rng, seen)
        pixels = ndimage.zoom(pixels, (1, size / seen, size / seen), order=1)
        rows = (np.arange(size) * seen // size).clip(max=seen - 1)
        ids, walls = ids[np.ix_(rows, rows)], walls[np.ix_(rows, rows)]
        pixels = _vary(rng, pixels)
        target = objects_target(np.maximum(ids, 0))
        target[walls] = BOUNDARY
        inside = target == BOUNDARY if image.task == "membrane" else ids > 0
        masks = {image.task: inside} if image.task else {}
        scene = Scene(pixels=pixels, target=target, masks=masks)
        scene.target[ids < 0] = IGNORE
        crop = Crop.of(scene, np.repeat(pixels, 3 // len(pixels), axis=0))
        crop.task_targets[:, ids < 0] = IGNORE
        return crop

    def evaluate(self, network: nn.Module, *, quick: bool = False) -> dict[str, float]:
        """Measure images that were held out: the IoU of objects, rims included.

        Parameters
        ----------
        network
            In evaluation mode.
        quick
            Take 16 images of a set and of each the upper left 256 x 256 pixels.
        """
        figures = {}
        for name, images in self.held_out.items():
            confusion = Confusion(2)
            for image in images[:_FEW] if quick else images:
                edge = _SMALL if quick else max(image.ids.shape)
                found, truth = _predict(network, image, edge)
                confusion.add(truth, found)
            figures[f"iou_{name}"] = float(confusion.iou[1] or 0.0)
        return figures


def draw_batch(real: RealCrops, count: int, size: int, *, seed: Sequence[int]) -> Batch:
    """Draw the batch of a step, which depends on the seed and on nothing else."""
    rng = np.random.default_rng(seed)
    crops = []
    for _ in range(count):
        taken = real.images and rng.random() < REAL_SHARE
        crop = real.draw(rng, size) if taken else _generate(rng, size)
        crops.append(crop.turned(rng))
    images, targets, task_targets, measures, valid = (
        torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True)
    )
    return Batch(
        images=images,
        target=targets.long(),
        task_targets=task_targets,
        measures=measures,
        valid=valid,
    )


def _generate(rng: np.random.Generator, size: int) -> Crop:
    weights = np.array([WEIGHTS.get(name, 1.0) for name in FAMILIES])
    family = rng.choice(list(FAMILIES), p=weights / weights.sum())
    scene = FAMILIES[family](rng, size)
    picture, clean = degrade(scene.pixels, rng)
    return Crop.of(scene, picture, clean)


def _cut(
    image: RealImage, rng: np.random.Generator, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Cut a square, normalised; ids are -1 where it leaves the image."""
    height, width = image.ids.shape
    top, left = (int(rng.integers(0, max(1, n - size + 1))) for n in (height, width))
    places = np.flatnonzero(image.ids > 0)
    if places.size and rng.random() < AROUND_OBJECT:
        place = np.unravel_index(places[rng.integers(places.size)], image.ids.shape)
        top, left = (
            int(np.clip(c - rng.integers(size), 0, max(0, n - size)))
            for c, n in zip(place, (height, width), strict=True)
        )
    box = slice(top, top + size), slice(left, left + size)
    pixels = image.normalisation.apply(image.pixels[:, *box])
    ids = image.ids[box]
    walls = np.zeros(ids.shape, bool) if image.walls is None else image.walls[box]
    missing = [(0, size - n) for n in ids.shape]
    if any(after for _, after in missing):
        pixels = np.pad(pixels, [(0, 0), *missing], mode="symmetric")
        ids = np.pad(ids, missing, constant_values=-1)
        walls = np.pad(walls, missing)
    return pixels, ids, walls


def _vary(
    rng: np.random.Generator, pixels: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Vary colour, range, contrast, blur and noise of a real crop."""
    if len(pixels) == 3 and rng.random() < 0.3:
        weights = rng.dirichlet((2, 2, 2)).astype(np.float32)
        pixels = np.tensordot(weights, pixels, axes=1)[None]
    elif len(pixels) == 3:
        gains = rng.lognormal(0, 0.15, (3, 1, 1)).astype(np.float32)
        pixels = (pixels if rng.random() < 0.8 else pixels[rng.permutation(3)]) * gains
    if rng.random() < 0.15:
        pixels = 1 - pixels
    gamma = np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    pixels = np.sign(pixels) * np.abs(pixels) ** gamma
    pixels = (pixels - 0.5) * rng.lognormal(0, 0.2) + 0.5 + rng.normal(0, 0.08)
    if rng.random() < 0.3:
        sigma = rng.uniform(0.3, 1.5)
        pixels = ndimage.gaussian_filter(pixels, (0, sigma, sigma))
    if rng.random() < 0.6:
        level = np.exp(rng.uniform(np.log(0.005), np.log(0.12)))
        pixels = pixels + level * rng.standard_normal(pixels.shape)
    varied: npt.NDArray[np.float32] = pixels.astype(np.float32)
    return varied


@torch.no_grad()
def _predict(
    network: nn.Module, image: RealImage, edge: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return object or not, found and true, in the upper left of an image."""
    height, width = (min(n, edge) for n in image.ids.shape)
    pixels = image.normalisation.apply(image.pixels[:, :height, :width])
    pixels = np.repeat(pixels, 3 // len(pixels), axis=0)
    margins = [(0, -n % _DIVISOR) for n in (height, width)]
    pixels = np.pad(pixels, [(0, 0), *margins], mode="symmetric")
    logits = network(torch.from_numpy(pixels)[None])[0, :, :height, :width]
    found = logits.argmax(dim=0).numpy() > 0
    truth = image.ids[:height, :width] > 0
    return found.astype(np.uint8), truth.astype(np.uint8)
