"""Carry weights from one network to another: pure functions on named arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import SpecError
from unet_engine.models.fcn_trunks import (
    FCN_FORMS,
    TRUNKS,
    bilinear_kernel,
    fcn_upsamplings,
    skip_channels,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from unet_engine.models.spec import ModelSpec

    Array = npt.NDArray[np.float32]
    Weights = dict[str, npt.NDArray[np.generic]]

PUBLISHED_WIDTH = 64
"""Width of the trunks that were trained on ImageNet."""


def dense_to_convolution(weight: Array, window: int) -> Array:
    """View a dense layer as a convolution.

    Parameters
    ----------
    weight
        ``(out, channels * window * window)`` float32.
    window
        Edge of the feature map that the layer takes; 1 for a layer on a dense one.

    Returns
    -------
    ndarray
        ``(out, channels, window, window)``.
    """
    return weight.reshape(len(weight), -1, window, window)


def adapt_first_convolution(weight: Array, channels: int) -> Array:
    """Make a first convolution for any number of channels from one for RGB.

    The colours are dealt to the channels in turn and each is shared by the channels
    that got it, so an image that is the same in every channel gets exactly the
    response that it got in RGB: one channel takes the sum, two take red and blue, and
    green, five share red and green.

    Parameters
    ----------
    weight
        ``(out, 3, k, k)`` float32.
    channels
        Channels of the new input, 1 or more.

    Returns
    -------
    ndarray
        ``(out, channels, k, k)``.
    """
    shares = np.zeros((channels, 3), np.float32)
    for turn in range(max(channels, 3)):
        shares[turn % channels, turn % 3] = 1
    shares /= shares.sum(axis=0)
    adapted: Array = np.einsum("ocyx,nc->onyx", weight, shares)
    return adapted


def imagenet_start(
    weights: Mapping[str, npt.NDArray[np.generic]],
    classifier: Mapping[str, Array],
    spec: ModelSpec,
) -> Weights:
    """Start an FCN from a classifier that was trained on ImageNet.

    Long et al. 2015, section 4.1: the classifier's last layer is discarded and its
    dense layers become convolutions. With another ``dense_width`` than the
    published 4096 only the trunk is carried over.

    Parameters
    ----------
    weights
        Fresh weights of ``spec``, arrays by name; not changed.
    classifier
        Float32 weights with torchvision's names, as ``imagenet_weights`` returns.
    spec
        The FCN.

    Returns
    -------
    dict
        Arrays with the names and shapes of ``weights``.

    Raises
    ------
    SpecError
        When the spec is no FCN, or its trunk is not as wide as the published one.
    """
    form = FCN_FORMS.get(spec.architecture)
    if form is None:
        raise SpecError(
            f"there are no ImageNet weights for {spec.architecture}; use one of "
            f"{', '.join(FCN_FORMS)}, or start from random weights"
        )
    if spec.width != PUBLISHED_WIDTH:
        raise SpecError(
            f"ImageNet weights are for width {PUBLISHED_WIDTH}, not {spec.width}; use "
            f"width {PUBLISHED_WIDTH}, or start from random weights"
        )
    carried = {k: v for k, v in classifier.items() if k.startswith("features.")}
    first = "features.0.weight"
    carried[first] = adapt_first_convolution(classifier[first], spec.in_channels)
    started = {**weights, **_fitting(carried, weights, "ImageNet classifier")}
    dense = sorted({k.rpartition(".")[0] for k in classifier if k not in carried})
    for ours, theirs in zip(("fc6", "fc7"), dense, strict=False):
        weight, here = classifier[f"{theirs}.weight"], weights[f"{ours}.weight"]
        if weight.size == here.size:
            started[f"{ours}.weight"] = dense_to_convolution(weight, here.shape[-1])
            started[f"{ours}.bias"] = classifier[f"{theirs}.bias"]
    return started


def staged_weights(
    coarser: Mapping[str, npt.NDArray[np.generic]], finer: ModelSpec
) -> Weights:
    """Start a finer FCN from a coarser one that was trained.

    Long et al. 2015, section 4.2: FCN-16s starts from FCN-32s and FCN-8s from
    FCN-16s; the new scores are zero and the new upsampling is bilinear, so the finer
    network starts with predictions as good as those of the coarser.

    Parameters
    ----------
    coarser
        Weights of a network with the same trunk, channels and classes, by name.
    finer
        Spec of the network to start.

    Returns
    -------
    dict
        Float32 arrays with the names and shapes of the finer network.

    Raises
    ------
    SpecError
        When the finer spec is no FCN-16s or FCN-8s, or the weights are not those of a
        coarser network of the same kind.
    """
    form = FCN_FORMS.get(finer.architecture)
    if form is None or form.stride == 32:
        names = [name for name, form in FCN_FORMS.items() if form.stride < 32]
        raise SpecError(
            f"{finer.architecture} has no coarser network to start from; "
            f"use one of {', '.join(names)}"
        )
    last = f"skip_scores.{len(form.skip_strides) - 1}.weight"
    expected = _shared_shapes(finer)
    found = {n: coarser[n].shape if n in coarser else None for n in expected}
    if found != expected or last in coarser:
        raise SpecError(
            f"these are not the weights of a coarser network than {finer.architecture} "
            f"with {finer.in_channels} channels, {len(finer.classes)} classes, width "
            f"{finer.width} and dense width {finer.dense_width}; train "
            f"fcn{2 * form.stride}s-{form.trunk} with the same figures first"
        )
    return {**_new_skips(finer), **coarser}


def _shared_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    trunk = TRUNKS[FCN_FORMS[spec.architecture].trunk]
    first, window = trunk.layers[0], trunk.dense.kernel
    edges = (first.shape.kernel,) * 2
    return {
        "features.0.weight": (spec.width * first.channels, spec.in_channels, *edges),
        "fc6.weight": (spec.dense_width, spec.width * trunk.channels, window, window),
        "score.weight": (len(spec.classes), spec.dense_width, 1, 1),
    }


def _new_skips(spec: ModelSpec) -> Weights:
    form, classes = FCN_FORMS[spec.architecture], len(spec.classes)
    weights: Weights = {}
    skips = skip_channels(form, spec.width)
    steps = fcn_upsamplings(form)[:-1]
    for index, ((_, channels), step) in enumerate(zip(skips, steps, strict=True)):
        kernel = np.eye(classes, dtype=np.float32)[..., None, None] * bilinear_kernel(
            step.kernel
        )
        weights[f"skip_scores.{index}.weight"] = np.zeros(
            (classes, channels, 1, 1), np.float32
        )
        weights[f"skip_scores.{index}.bias"] = np.zeros(classes, np.float32)
        weights[f"upsamplings.{index}.weight"] = kernel
    return weights


def warm_start(
    weights: Mapping[str, npt.NDArray[np.generic]],
    source: Mapping[str, npt.NDArray[np.generic]],
    part: str = "down.",
) -> Weights:
    """Replace a part of a network's weights by those of another network.

    By default the contracting path: what an autoencoder learned from images without
    labels starts a U-Net of the same depth, width and channels.

    Parameters
    ----------
    weights
        Fresh weights; not changed.
    source
        Weights of the network that was trained.
    part
        Start of the names to carry over.

    Returns
    -------
    dict
        Arrays with the names and shapes of ``weights``.

    Raises
    ------
    SpecError
        When the source lacks that part or has it in another size; names the tensor.
    """
    wanted = [name for name in weights if name.startswith(part)]
    if missing := [name for name in wanted if name not in source]:
        raise SpecError(
            f"the model to start from has no {missing[0]!r}; pretrain one with the "
            "same depth and number of dimensions"
        )
    carried = {name: source[name] for name in wanted}
    return {**weights, **_fitting(carried, weights, "model to start from")}


def _fitting(
    carried: Mapping[str, npt.NDArray[np.generic]],
    weights: Mapping[str, npt.NDArray[np.generic]],
    source: str,
) -> Mapping[str, npt.NDArray[np.generic]]:
    for name, values in carried.items():
        here = weights[name].shape if name in weights else None
        if here != values.shape:
            raise SpecError(
                f"the {source} has {name!r} of shape {values.shape}, the new model "
                f"has {here or 'none'}; use the same depth, width and channels"
            )
    return carried
