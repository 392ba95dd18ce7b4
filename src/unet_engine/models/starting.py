"""Start a model from another: pretrained without labels, coarser, or on ImageNet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.errors import EngineError, SpecError
from unet_engine.models.adaptation import adapt_checkpoint, check_tunable
from unet_engine.models.architectures import SAME_PATH
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.fcn_trunks import FCN_FORMS
from unet_engine.models.imagenet import imagenet_weights
from unet_engine.models.object_maps import without_object_maps
from unet_engine.models.spec import ModelSpec, build
from unet_engine.models.weight_transfer import (
    imagenet_start,
    staged_weights,
    warm_start,
)
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.imagenet import Progress
    from unet_engine.models.store import ModelStore
    from unet_engine.stopping import Stop

_FRESH_HEAD = 0.1
"""Standard deviation of the new weights of a last layer: small, so that at first no
class prevails."""

_PLANES = "general"
"""Name of the bundled model of planes that was trained on most kinds of images."""


def start_pretrained(
    pretrained: Checkpoint,
    architecture: str = "unet",
    *,
    classes: Sequence[str] = ModelSpec().classes,
    seed: int = 0,
) -> Checkpoint:
    """Start a network of classes from one that learned to restore images.

    It takes the contracting path over; the rest has random weights. Depth, width,
    channels and the preparation of the images are those of the pretrained model.

    Parameters
    ----------
    pretrained
        A model without classes.
    architecture
        A network with the same contracting path.
    classes
        Background first.
    seed
        Of the random weights.

    Raises
    ------
    SpecError
        When the network has another contracting path.
    """
    if pretrained.spec.restores:
        raise SpecError(
            f"{pretrained.name or 'the model'} was trained to take noise out of images "
            "and has other inputs than a network of classes; start from one that was "
            "pretrained to be a start, or from general"
        )
    if architecture not in SAME_PATH:
        raise SpecError(
            f"{architecture} has another contracting path than a pretrained model; "
            f"use {' or '.join(SAME_PATH)}"
        )
    spec = pretrained.spec.changed(architecture=architecture, classes=tuple(classes))
    fresh = start_checkpoint(spec, seed)
    weights = warm_start(fresh.weights, pretrained.weights)
    return Checkpoint(spec, weights, pretrained.history)


def start_staged(coarser: Checkpoint, architecture: str) -> Checkpoint:
    """Start FCN-16s from a trained FCN-32s, or FCN-8s from FCN-16s.

    Long et al. 2015, section 4.2. The new scores are zero, so that at first the finer
    network predicts nearly what the coarser one does.

    Parameters
    ----------
    coarser
        A trained model on the same trunk.
    architecture
        The finer network.

    Raises
    ------
    SpecError
        When the one does not start from the other.
    """
    here, there = FCN_FORMS.get(coarser.spec.architecture), FCN_FORMS.get(architecture)
    if here is None or there is None or here.trunk != there.trunk:
        raise SpecError(
            f"{architecture} does not start from {coarser.spec.architecture}; an FCN "
            "starts from a coarser one on the same trunk, such as fcn16s-vgg16 from "
            "fcn32s-vgg16"
        )
    spec = coarser.spec.changed(architecture=architecture)
    return Checkpoint(spec, staged_weights(coarser.weights, spec), coarser.history)


def start_imagenet(
    spec: ModelSpec,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    stop: Stop = never,
) -> Checkpoint:
    """Start an FCN from a classifier that was trained on ImageNet.

    Parameters
    ----------
    spec
        An FCN with a trunk of the published width.
    seed
        Of the weights that the classifier does not have.
    progress, stop
        Of the download, if the weights are not yet there.

    Raises
    ------
    SpecError
        When there are no such weights for the spec.
    CheckpointError
        When they cannot be fetched.
    Cancelled
        When ``stop`` ended the download.
    """
    form = FCN_FORMS.get(spec.architecture)
    if form is None:
        raise SpecError(
            f"there are no ImageNet weights for {spec.architecture}; use one of "
            f"{', '.join(FCN_FORMS)}, or start from random weights"
        )
    classifier = imagenet_weights(form.trunk, progress=progress, stop=stop)
    fresh = start_checkpoint(spec, seed)
    weights = imagenet_start(fresh.weights, classifier, spec)
    origin: dict[str, Any] = {"name": f"{form.trunk} (ImageNet)", "pretrained": True}
    return Checkpoint(spec, weights, (origin,))


def start_features(
    parent: Checkpoint,
    *,
    classes: Sequence[str] = ModelSpec().classes,
    in_channels: int | None = None,
    seed: int = 0,
) -> Checkpoint:
    """Start a model of other classes from the features of a trained one.

    Only the last layer, which gives the classes, is new. Pixel classifiers and object
    maps of the old classes are left out.

    Parameters
    ----------
    parent
        A trained model whose last layer is a convolution named ``head``.
    classes
        Background first.
    in_channels
        Channels of the images; None keeps them.
    seed
        Of the new weights.

    Raises
    ------
    SpecError
        When the network has no such layer.
    """
    if "head.weight" not in parent.weights:
        raise SpecError(
            f"{parent.spec.architecture} has no last layer of its own that could be "
            "made anew; start from a U-Net"
        )
    alone = without_object_maps(replace(parent, classifier=None))
    known = adapt_checkpoint(alone, classes=classes, in_channels=in_channels)
    shape = known.weights["head.weight"].shape
    generator = np.random.default_rng(seed)

    head = generator.normal(0, _FRESH_HEAD, shape).astype(np.float32)
    weights = {
        **known.weights,
        "head.weight": head,
        "head.bias": np.zeros(shape[0], dtype=np.float32),
    }
    origin: dict[str, Any] = {
        "name": parent.name,
        "pretrained": True,
        "fresh": "head",
    }
    return Checkpoint(known.spec, weights, (origin,))


def model_of_planes(store: ModelStore, in_channels: int) -> Checkpoint | None:
    """Return the bundled model that was trained on most kinds of images.

    Parameters
    ----------
    store
        Where models are.
    in_channels
        Channels of the images.

    Returns
    -------
    Checkpoint
        Adapted to the channels; None where the bundled model cannot be read.
    """
    try:
        return adapt_checkpoint(store.load(_PLANES), in_channels=in_channels)
    except EngineError:
        return None


def feature_model(store: ModelStore, model: Checkpoint) -> Checkpoint | None:
    """Return the model of planes whose maps are features of pixels, for Live as well.

    Parameters
    ----------
    store
        Where models are.
    model
        The model that is tuned. Its own maps were fitted to strokes if it was tuned
        before: then it is what it was tuned from.

    Returns
    -------
    Checkpoint
        With the channels of the model; None where there is no such model.
    """
    channels = model.spec.in_channels
    base = store.base_of(model.history)
    with suppress(EngineError):
        if base is not None and base.spec.ndim == 2:
            loaded = Checkpoint.load(base.path)
            return adapt_checkpoint(loaded, in_channels=channels)
    if model.spec.ndim == 2 and model.history and "unet" in model.spec.architecture:
        return model
    return model_of_planes(store, channels)


def start_from(
    parent: Checkpoint,
    architecture: str | None = None,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> Checkpoint:
    """Start from a model in the way that fits it and the network that is wanted.

    A model without classes pretrains another network, a coarser FCN starts a finer
    one, of a model whose classes are not wanted, or that is made to be a start, all
    but the last layer is taken over, and any other is tuned as it is.

    Parameters
    ----------
    parent
        The model to start from.
    architecture
        The network that is wanted; None for the parent's own, or a U-Net if that has
        no classes.
    classes
        Of a network that is new; None for background and foreground, or for the
        parent's own.
    seed
        Of random weights.

    Raises
    ------
    SpecError
        When no such network starts from the parent.
    """
    check_tunable(parent)
    parent = with_network(parent, seed)
    if not parent.spec.classes:
        return start_pretrained(
            parent,
            architecture or "unet",
            classes=classes or ModelSpec().classes,
            seed=seed,
        )
    if architecture in (None, parent.spec.architecture):
        own = parent.spec.classes
        classes = own if classes is None else tuple(classes)
        if classes[: len(own)] == own and not parent.is_start:
            return parent
        return start_features(parent, classes=classes, seed=seed)
    return start_staged(parent, str(architecture))


def with_classes(
    checkpoint: Checkpoint, classes: Sequence[str], *, seed: int = 0
) -> Checkpoint:
    """Return what a model of these classes starts from.

    Classes that come after those of the model leave it as it is; for others, and for a
    model that is made to be tuned, the last layer is new.

    Parameters
    ----------
    checkpoint
        A model with classes.
    classes
        Background first.
    seed
        Of a new last layer.

    Raises
    ------
    SpecError
        When a new last layer is needed and the network has none of its own.
    """
    check_tunable(checkpoint)
    checkpoint = with_network(checkpoint, seed)
    known = checkpoint.spec.classes
    if checkpoint.is_start or tuple(classes[: len(known)]) != known:
        return start_features(checkpoint, classes=classes, seed=seed)
    return adapt_checkpoint(checkpoint, classes=classes)


def with_network(checkpoint: Checkpoint, seed: int = 0) -> Checkpoint:
    """Return a model whose network can be tuned: itself, unless it has none.

    One that is pixel classifiers alone starts from the network of their features, with
    a new last layer; from random weights where they use filters alone.

    Parameters
    ----------
    checkpoint
        Any model.
    seed
        Of new weights.
    """
    part = checkpoint.classifier
    if checkpoint.has_network or part is None:
        return checkpoint
    if part.network is None:
        return start_checkpoint(checkpoint.spec, seed)
    origin: dict[str, Any] = {"name": checkpoint.name}
    features = Checkpoint(part.network.spec, part.network.weights, (origin,))
    return start_features(features, classes=checkpoint.spec.classes, seed=seed)


def start_checkpoint(spec: ModelSpec, seed: int = 0) -> Checkpoint:
    """Return a model with random weights and an empty history.

    The caller's random numbers are not touched.

    Parameters
    ----------
    spec
        The network.
    seed
        The same seed gives the same weights.

    Examples
    --------
    >>> from unet_engine import ModelSpec, start_checkpoint
    >>> spec = ModelSpec(depth=2, width=4, classes=("background", "cell"))
    >>> start_checkpoint(spec).trained
    False
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build(spec)
    weights = {n: t.detach().numpy().copy() for n, t in network.state_dict().items()}
    return Checkpoint(spec=spec, weights=weights, history=())
