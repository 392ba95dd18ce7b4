"""Train a network on images without labels: it learns to take noise away.

An encoder-decoder learns what a U-Net of classes starts from. A U-Net, which sees the
neighbouring slices of a stack as well, learns to restore images, and is compared with
filters at the end.

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

from unet_engine.compute.devices import choose_device
from unet_engine.compute.loading import folded_network
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.devices import is_remote
from unet_engine.errors import DataError, SpecError
from unet_engine.generators import discard, drain
from unet_engine.images import Normalisation, match_channels
from unet_engine.images.neighbours import check_slices, neighbour_indices
from unet_engine.images.no_data import recorded_target
from unet_engine.stopping import never
from unet_engine.training.config import PretrainConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.splits.held_out_split import split_pairs
from unet_engine.training.events import Preparing
from unet_engine.training.remote.training import iter_train_there
from unet_engine.training.restoration.blind_spots import BlindSpots
from unet_engine.training.restoration.judge import judge
from unet_engine.training.restoration.noise import hidden_margin
from unet_engine.training.restoration.optimisation import (
    DenoisingOptimisation,
    RestoringOptimisation,
)
from unet_engine.training.run import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop
    from unet_engine.training.events import FineTuned, TrainingEvent
    from unet_engine.training.restoration.judge import Judgement

    Attempt = Callable[[Image], AbstractContextManager[None]]

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
    an ``autoencoder`` that comes out.

    Parameters
    ----------
    checkpoint
        Of an ``autoencoder`` or ``unet`` without classes, from ``start_checkpoint``.
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
    that is not finite ends it. A ``unet`` is then judged on the held-out pixels, and
    not kept where a filter restores them better.

    Parameters
    ----------
    checkpoint
        Of an ``autoencoder`` or ``unet`` without classes, from ``start_checkpoint``.
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
        With the very checkpoint that came in when nothing better was found, or a filter
        is better than what was; its notes name it.

    Raises
    ------
    SpecError
        When the model has classes, or is one of volumes.
    DataError
        When there is no image, or its channels or slices do not fit.
    EngineError
        When the device is absent, or torch fails.
    """
    config = config or PretrainConfig()
    _check_spec(checkpoint.spec)
    # A device that is absent is named before images are read.
    choose_device(config.device)
    with translated_errors():
        pairs = _pairs_of(images, checkpoint.spec, attempt)
    if not is_remote(config.device):
        return (yield from iter_pretrain_on(checkpoint, pairs, config, stop=stop))
    return (
        yield from iter_train_there(
            checkpoint, pairs, config, here=iter_pretrain_on, stop=stop
        )
    )


def iter_pretrain_on(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: PretrainConfig,
    *,
    stop: Stop = never,
) -> Generator[TrainingEvent, None, FineTuned]:
    """Train as ``iter_pretrain`` does, on planes that were read.

    Parameters
    ----------
    checkpoint, config, stop
        As of ``iter_pretrain``; the device is one of this machine.
    pairs
        Normalised planes with their neighbours, ``(C, Y, X)``; the target is 0 where
        pixels were recorded.

    Raises
    ------
    EngineError
        As ``iter_pretrain``.
    """
    device = choose_device(config.device)
    with translated_errors():
        run, spots = _start(checkpoint, pairs, config, device)
        result = yield from run.events(stop)
        if not (checkpoint.spec.restores and result.improved):
            return result
        yield Preparing(what="comparing it with filters", done=0, total=1)
        return _decided(result, checkpoint, judged(result, spots, device))


def _check_spec(spec: ModelSpec) -> None:
    if spec.classes:
        raise SpecError(
            f"a {spec.architecture} with classes is trained on labels; pretrain an "
            "autoencoder or a unet without classes"
        )
    if spec.ndim != 2:
        raise SpecError("pretraining works on planes; use ndim 2")


def _pairs_of(
    images: Sequence[Image], spec: ModelSpec, attempt: Attempt | None
) -> list[TrainingPair]:
    pairs: list[TrainingPair] = []
    for image in images:
        with nullcontext() if attempt is None else attempt(image):
            pairs += list(_read(image, spec, images))
    if not pairs:
        raise DataError("there is no image to learn from; give at least one")
    return pairs


def _start(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: PretrainConfig,
    device: str,
) -> tuple[TrainingRun, BlindSpots]:
    settings = config.for_training()
    split = split_pairs(pairs, fraction=settings.validation, seed=settings.seed)
    spec = checkpoint.spec
    how = split.training, settings, device
    margin = 0
    learning: DenoisingOptimisation
    if spec.restores:
        margin = hidden_margin(pairs, spec, config.neighbours_share_noise)
        learning = RestoringOptimisation(checkpoint, *how, margin=margin)
    else:
        learning = DenoisingOptimisation(checkpoint, *how)
    spots = BlindSpots(split.validation, spec, margin)
    run = TrainingRun(
        checkpoint,
        settings,
        learning,
        spots,
        record={
            "data": sorted({pair.name for pair in pairs}),
            "pretrained": True,
            **({"hidden_margin": margin} if spec.restores else {}),
        },
        notes=[_SMALL] if split.notes else [],
        advice=_ADVICE,
    )
    return run, spots


def judged(result: FineTuned, spots: BlindSpots, device: str) -> Judgement:
    """Compare what was learned with filters, on the pixels that were held out.

    Parameters
    ----------
    result
        Of a training that made the network better.
    spots
        What was held out of it.
    device
        Where it runs.
    """
    network = folded_network(result.checkpoint).to(device)
    spec, blinding = result.checkpoint.spec, spots.blinding
    return judge(network, spots.tiles(), spec, device, blinding)


def _decided(result: FineTuned, start: Checkpoint, found: Judgement) -> FineTuned:
    """Return what is kept: nothing where a filter is better."""
    if found.refusal:
        notes = (*result.notes, found.refusal)
        return replace(result, checkpoint=start, improved=False, notes=notes)
    *earlier, last = result.checkpoint.history
    history = (*earlier, {**last, "judgement": found.record()})
    kept = replace(result.checkpoint, history=history)
    return replace(result, checkpoint=kept, notes=(*result.notes, found.note))


def _read(
    image: Image, spec: ModelSpec, images: Sequence[Image]
) -> Iterator[TrainingPair]:
    """Read planes as pairs in which every pixel counts, as many as its share allows."""
    check_slices(image, spec.slices)
    image = match_channels(image, spec.in_channels)
    normalisation = Normalisation.measure(image, spec.preparation)
    image = normalisation.marked(image)
    indices = list(image.indices())
    share = _MOST_VALUES // len(images) // max(1, spec.input_maps)
    count = min(len(indices), max(1, share // math.prod(image.plane_shape)))
    target = np.zeros(image.plane_shape, np.uint8)
    for number in range(count):
        index = indices[number * len(indices) // count]
        places = neighbour_indices(image, index, spec.slices)
        planes = [image.read(place) for place in places]
        learned = recorded_target(target, planes[spec.slices // 2])
        read = np.concatenate([normalisation.apply(plane) for plane in planes])
        yield TrainingPair(read, learned, image.name)
