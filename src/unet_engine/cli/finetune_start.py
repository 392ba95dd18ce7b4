"""The model that ``finetune`` starts from: a fresh one, or another one's weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from unet_engine.cli.progress import bar, tell
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.models.receptive_fields import z_poolings_for
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.prediction.plan import check_axes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

_FRESH = ("ndim", "depth", "width", "z_poolings", "dense_width")
"""Options that are fields of the spec of a fresh model."""


def add_start_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of what a training starts from."""
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="MODEL",
        help="name or file of the model to start from: one to tune, one that was "
        "pretrained, or a coarser FCN for a finer --architecture (default: a fresh "
        "U-Net)",
    )
    parser.add_argument(
        "--classes",
        type=_class_names,
        metavar="A,B,...",
        help="names of all classes, the background first",
    )
    parser.add_argument(
        "--architecture",
        choices=tuple(ARCHITECTURES),
        help="network of a new model, trained with the settings of its paper unless "
        f"others are given (default: that of --from, else {ModelSpec().architecture})",
    )
    parser.add_argument(
        "--imagenet",
        action="store_true",
        help="start an FCN from VGG-16 or AlexNet as trained on ImageNet; the weights "
        "are fetched once",
    )
    _add_size_options(parser)


def _add_size_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ndim",
        type=int,
        choices=(2, 3),
        help="dimensions of a fresh model: 2 sees the planes of a stack one by one, 3 "
        "sees volumes and learns from stacks of which a few slices are labelled "
        f"(the others: {IGNORE}) (default: 2, or what the architecture is made for)",
    )
    parser.add_argument(
        "--depth",
        type=int,
        metavar="N",
        help="its poolings (default: as published, which is 3 for volumes)",
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="channels of its first level (default: 16 of a U-Net, else as published)",
    )
    parser.add_argument(
        "--z-poolings",
        type=int,
        metavar="N",
        help="how many of its poolings, the deepest ones, also pool along Z "
        "(default: fewer for stacks of few slices or of slices that lie far apart)",
    )
    parser.add_argument(
        "--dense-width",
        type=int,
        metavar="N",
        help="channels of the two dense layers of an FCN (default: as published)",
    )


def _class_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def architecture_of(arguments: argparse.Namespace, parent: Checkpoint | None) -> str:
    """Return which network will be trained."""
    if arguments.architecture is not None:
        return str(arguments.architecture)
    # A model without classes only lends its weights.
    own = parent is not None and parent.spec.classes
    return parent.spec.architecture if parent and own else ModelSpec().architecture


def start_from_parent(
    arguments: argparse.Namespace,
    parent: Checkpoint,
    seed: int,
    classes: Sequence[str] | None = None,
) -> Checkpoint:
    """Tune the parent, or start another network from it.

    Raises
    ------
    EngineError
        When the options are those of a fresh model, or the two do not fit.
    """
    from unet_engine.models.starting import adapt_checkpoint, start_from

    if arguments.imagenet or any(
        getattr(arguments, name) is not None for name in _FRESH
    ):
        options = ", ".join("--" + name.replace("_", "-") for name in _FRESH)
        raise DataError(
            f"--imagenet, {options} are of a fresh model, and --from has its own "
            "weights and size; leave one of them out"
        )
    if parent.is_start:
        classes = classes or arguments.classes
    elif parent.spec.classes:
        parent = adapt_checkpoint(parent, classes=arguments.classes)
    return start_from(parent, arguments.architecture, classes=classes, seed=seed)


def start_fresh(
    arguments: argparse.Namespace,
    images: Sequence[Image],
    classes: Sequence[str],
    seed: int,
    stop: Stop,
) -> Checkpoint:
    """Make a model that fits the data, with random weights or those of ImageNet.

    Parameters
    ----------
    arguments
        Of `add_start_options`.
    images, classes
        Of the data; ``--classes`` come first.
    seed
        Of random weights.
    stop
        Polled while weights are fetched.

    Raises
    ------
    EngineError
        When it cannot be built like this, or the weights are out of reach.
    """
    from unet_engine.models.starting import start_checkpoint, start_imagenet

    spec = _fresh_spec(arguments, images, classes)
    if not arguments.imagenet:
        return start_checkpoint(spec, seed)
    with bar(1.0, "fetching ImageNet weights", quiet=arguments.quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.update(done / max(total, done) - progress.n)

        return start_imagenet(spec, seed, progress=show, stop=stop)


def _fresh_spec(
    arguments: argparse.Namespace, images: Sequence[Image], classes: Sequence[str]
) -> ModelSpec:
    # Grey and colour images together are all seen in grey.
    options = {"in_channels": min(image.channels for image in images)} | {
        name: getattr(arguments, name) for name in _FRESH
    }
    given = {name: value for name, value in options.items() if value is not None}
    architecture = arguments.architecture or ModelSpec().architecture
    spec = ModelSpec.for_architecture(
        architecture, classes=arguments.classes or tuple(classes), **given
    )
    if spec.ndim == 3 and spec.z_poolings is None:
        return _fit_to_stacks(spec, images, quiet=arguments.quiet)
    return spec


def _fit_to_stacks(
    spec: ModelSpec, images: Sequence[Image], *, quiet: bool
) -> ModelSpec:
    """Pool along Z as often as the thinnest stack allows, and say so."""
    for image in images:
        check_axes(image, spec)
    planes = min(image.leading_shape[-1] for image in images)
    elongation = min(image.elongation or 1.0 for image in images)
    poolings = z_poolings_for(planes, spec.depth, elongation=elongation)
    fitted = dataclasses.replace(spec, z_poolings=poolings)
    padded = ARCHITECTURES[spec.architecture].padded
    while poolings and not padded and fitted.footprint.halo[0] >= planes:
        poolings -= 1
        fitted = dataclasses.replace(spec, z_poolings=poolings)
    apart = f", {elongation:.1f} times as far apart as pixels" if elongation > 1 else ""
    tell(
        [
            f"{poolings} of {spec.depth} poolings go along Z: the thinnest stack has "
            f"{planes} slices{apart} (--z-poolings sets another number)"
        ],
        quiet=quiet,
    )
    return fitted
