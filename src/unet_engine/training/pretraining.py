"""Pretrain an encoder-decoder on images without labels: it learns to take noise away.

The network gets images in which a few pixels are replaced by a neighbour, and has to
predict the values that were there ("blind spots": Krull, Buchholz, Jug 2019,
Noise2Void, on the denoising autoencoder of Vincent et al. 2008). Noise that is
independent from pixel to pixel cannot be predicted from the neighbours, so what it
learns is the image below it. Adding noise and removing it again would train it to
remove the added noise only, as no clean image is at hand. Noise with a pattern, such as
lines, is learned as image.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from unet_engine.compute.devices import choose_device
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import DataError, SpecError
from unet_engine.generators import discard, drain
from unet_engine.images import Normalisation, match_channels
from unet_engine.images.no_data import recorded_target
from unet_engine.labels import HELD_OUT
from unet_engine.stopping import never
from unet_engine.tiling.tiles import TilePlan, read_reflected
from unet_engine.training.config import PretrainConfig
from unet_engine.training.data.augmentation import Varied
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.splits.held_out_split import split_pairs
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.run import TrainingRun
from unet_engine.training.validation import HeldOutScores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.events import FineTuned, TrainingEvent

    Attempt = Callable[[Image], AbstractContextManager[None]]

_SHARE = 0.05
"""Of the pixels that become blind spots: the more, the more is learned in a step."""

_REACH = 2
"""Pixels along Y and X from which the neighbour of a blind spot is drawn: a square of 5
by 5, as of Krull et al. 2019, section 4."""

_TILE = 256
"""Edge of an evaluated tile in pixels."""

_MOST_TILES = 16
"""Tiles that are evaluated: a million pixels, evenly chosen."""

_MOST_VALUES = 2**26
"""Values of all images that are kept in memory: 256 MiB of float32."""

_ADVICE = (
    "The pretraining did not make the model better on the pixels that were held out. "
    "Train longer, give more images, or use another learning rate."
)
_SMALL = (
    "The images are too small to hold a part of them out: the model was evaluated on "
    "the pixels it learned from."
)


def pretrain(
    checkpoint: Checkpoint,
    images: Sequence[Image],
    config: PretrainConfig | None = None,
    *,
    stop: Stop = never,
    on_event: Callable[[TrainingEvent], object] = discard,
) -> FineTuned:
    """Train a copy of a model without classes to take the noise out of images.

    It runs ``iter_pretrain`` to its end. ``start_from`` makes a network of classes from
    what comes out.

    Parameters
    ----------
    checkpoint
        Of an ``autoencoder`` without classes, from ``start_checkpoint``.
    images
        Any number of images and stacks, without labels.
    config
        Limits and settings; None for the defaults.
    stop
        Polled before every step; True ends the training and keeps its best weights.
    on_event
        Called with every step and every validation.

    Returns
    -------
    FineTuned
        With the very checkpoint that came in when nothing better was found.

    Raises
    ------
    EngineError
        As ``iter_pretrain`` raises them.

    Examples
    --------
    >>> from unet_engine import Image, ModelSpec, PretrainConfig
    >>> from unet_engine import pretrain, start_checkpoint
    >>> from unet_engine.synthetic.nuclei import nuclei
    >>> pixels, _ = nuclei((64, 64), seed=0)
    >>> spec = ModelSpec(architecture="autoencoder", classes=(), depth=2, width=4)
    >>> config = PretrainConfig(steps=3, minutes=0, crop=32, batch=2)
    >>> image = Image.from_array(pixels, "YX")
    >>> pretrain(start_checkpoint(spec), [image], config).checkpoint.spec.classes
    ()
    """
    return drain(iter_pretrain(checkpoint, images, config, stop=stop), on_event)


def iter_pretrain(
    checkpoint: Checkpoint,
    images: Sequence[Image],
    config: PretrainConfig | None = None,
    *,
    stop: Stop = never,
    attempt: Attempt | None = None,
) -> Generator[TrainingEvent, None, FineTuned]:
    """Train a copy of a model without classes to take the noise out of images.

    Like ``iter_fine_tune``: stopped, it returns the best weights so far, and a loss
    that is not finite ends it.

    Parameters
    ----------
    checkpoint
        Of an ``autoencoder`` without classes, from ``start_checkpoint``.
    images
        Any number of images and stacks; of more than 64 million values in all, evenly
        spread planes are learned from.
    config
        Limits and settings; None for the defaults.
    stop
        Polled before every step.
    attempt
        Makes the context in which an image is read, and may keep its failure: the image
        is then left out.

    Yields
    ------
    Step or Validation
        The loss of a validation is the mean square error at blind spots, where a
        perfect network is left with the noise; its IoU is NaN.

    Returns
    -------
    FineTuned
        With the very checkpoint that came in when nothing better was found.

    Raises
    ------
    SpecError
        When the model has classes, or is one of volumes.
    DataError
        When there is no image, or its channels do not fit.
    EngineError
        When the device is absent, or torch fails.
    """
    config = config or PretrainConfig()
    _check_spec(checkpoint.spec)
    device = choose_device(config.device)
    settings = config.for_training()
    with translated_errors():
        run = _start(checkpoint, images, settings, device, attempt)
        return (yield from run.events(stop))


def _check_spec(spec: ModelSpec) -> None:
    if spec.classes:
        raise SpecError(
            f"a {spec.architecture} with classes is trained on labels; pretrain an "
            "autoencoder without classes"
        )
    if spec.ndim != 2:
        raise SpecError("pretraining works on planes; use ndim 2")


def _start(
    checkpoint: Checkpoint,
    images: Sequence[Image],
    settings: FineTuneConfig,
    device: str,
    attempt: Attempt | None,
) -> TrainingRun:
    pairs: list[TrainingPair] = []
    names: set[str] = set()
    for image in images:
        with nullcontext() if attempt is None else attempt(image):
            pairs += list(_read(image, checkpoint.spec, images))
            names.add(image.name)
    if not pairs:
        raise DataError("there is no image to learn from; give at least one")
    split = split_pairs(pairs, fraction=settings.validation, seed=settings.seed)
    return TrainingRun(
        checkpoint,
        settings,
        DenoisingOptimisation(checkpoint, split.training, settings, device),
        BlindSpots(split.validation, checkpoint.spec),
        record={"data": sorted(names), "pretrained": True},
        notes=[_SMALL] if split.notes else [],
        advice=_ADVICE,
    )


def _read(
    image: Image, spec: ModelSpec, images: Sequence[Image]
) -> Iterator[TrainingPair]:
    """Read planes as pairs in which every pixel counts, as many as its share allows."""
    image = match_channels(image, spec.in_channels)
    normalisation = Normalisation.measure(image, spec.preparation)
    image = normalisation.marked(image)
    indices = list(image.indices())
    share = _MOST_VALUES // len(images) // max(1, spec.in_channels)
    count = min(len(indices), max(1, share // math.prod(image.plane_shape)))
    target = np.zeros(image.plane_shape, np.uint8)
    for number in range(count):
        plane = image.read(indices[number * len(indices) // count])
        learned = recorded_target(target, plane)
        yield TrainingPair(normalisation.apply(plane), learned, image.name)


class DenoisingOptimisation(Optimisation):
    """A network that learns to fill in blind spots.

    Crops are flipped and turned by right angles only: any resampling would mix
    neighbouring pixels, and with them their noise.
    """

    def _draw(self) -> Varied:
        images, targets, *_ = super()._draw()
        turns, flip = torch.randint(4, (2,), generator=self._generator).tolist()
        images, targets = (
            torch.rot90(t.flip(-1) if flip % 2 else t, turns, (-2, -1))
            for t in (images, targets)
        )
        blinded, spots = blind(images, targets < HELD_OUT, self._generator)
        batch = blinded.contiguous(memory_format=torch.channels_last)
        return Varied(batch, torch.cat((images, spots), dim=1), None, None)

    def _loss(self, logits: Tensor, batch: Varied) -> Tensor:
        spots = batch.targets[:, -1:]
        squares = (logits - batch.targets[:, :-1]) ** 2 * spots
        return squares.sum() / (spots.sum() * logits.shape[1]).clamp(min=1)


def blind(
    images: Tensor, known: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace a few pixels by one of their neighbours.

    Parameters
    ----------
    images
        ``(N, C, Y, X)`` float32.
    known
        ``(N, Y, X)`` bool, the pixels that may be replaced.
    generator
        Random numbers, on the CPU.

    Returns
    -------
    blinded, spots
        ``(N, C, Y, X)`` float32, the images with replaced pixels, and ``(N, 1, Y, X)``
        float32, 1 where a pixel was replaced.
    """
    count, _, height, width = images.shape
    shape = (count, height, width)
    spots = torch.rand(shape, generator=generator).to(images.device) < _SHARE
    spots = (spots & known).unsqueeze(1)
    # Any of the neighbours but the pixel itself, which has the middle number.
    edge = 2 * _REACH + 1
    numbers = torch.randint(edge**2 - 1, shape, generator=generator)
    numbers = numbers + (numbers >= edge**2 // 2)
    rows = _moved(torch.arange(height)[:, None], numbers // edge - _REACH, height)
    columns = _moved(torch.arange(width), numbers % edge - _REACH, width)
    places = (rows * width + columns).to(images.device).flatten(1).unsqueeze(1)
    neighbours = images.flatten(2).gather(2, places.expand(-1, images.shape[1], -1))
    blinded = torch.where(spots, neighbours.reshape(images.shape), images)
    return blinded, spots.float()


def _moved(positions: Tensor, steps: Tensor, size: int) -> Tensor:
    """Go some steps, or as many in the other direction where that leaves the image."""
    there = positions + steps
    outside = (there < 0) | (there >= size)
    return torch.where(outside, positions - steps, there).clamp(0, size - 1)


class BlindSpots:
    """Evaluate a network on blind spots that are the same each time.

    Parameters
    ----------
    pairs
        Held-out pixels are below ``HELD_OUT``.
    spec
        Of the network.
    """

    def __init__(self, pairs: Sequence[TrainingPair], spec: ModelSpec) -> None:
        footprint = replace(spec.footprint, halo=(0, 0))
        tiles = [
            (pair, tile)
            for pair in pairs
            for tile in TilePlan.for_shape(
                pair.target.shape, tile=_TILE, footprint=footprint
            )
            if (pair.target[tile.inner_slices] < HELD_OUT).any()
        ]
        count = min(len(tiles), _MOST_TILES)
        self._tiles = [tiles[i * len(tiles) // count] for i in range(count)]

    def evaluate(
        self, network: nn.Module, device: str, *, step: int = 0
    ) -> HeldOutScores:
        """Measure the mean square error at the blind spots, in evaluation mode."""
        generator = torch.Generator().manual_seed(0)
        total = values = 0.0
        with torch.inference_mode():
            for pair, tile in self._tiles:
                image, known = _read_tile(pair, tile)
                blinded, spots = blind(image, known, generator)
                found = network(blinded.to(device)).float().cpu()
                total += float(((found - image) ** 2 * spots).sum())
                values += float(spots.sum()) * image.shape[1]
        return HeldOutScores(loss=total / max(1.0, values), iou=math.nan)


def _read_tile(pair: TrainingPair, tile: Tile) -> tuple[Tensor, Tensor]:
    shape = pair.target.shape
    block = read_reflected(lambda at: pair.image[:, *at], tile.outer, shape)
    known = np.zeros(tile.outer_shape, dtype=bool)
    inner = pair.target[tile.inner_slices]
    known[: inner.shape[0], : inner.shape[1]] = inner < HELD_OUT
    image = torch.from_numpy(np.ascontiguousarray(block, dtype=np.float32))
    return image[None], torch.from_numpy(known)[None]
