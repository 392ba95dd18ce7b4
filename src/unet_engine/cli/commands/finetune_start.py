"""The model that ``finetune`` starts from: a fresh one, or another one's weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from unet_engine.cli.progress import bar, report
from unet_engine.errors import DataError
from unet_engine.models.receptive_fields import z_poolings_for
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.prediction.plan import check_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.cli.options.training import StartOptions
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

_FRESH = ("ndim", "depth", "width", "z_poolings", "dense_width")
"""Options that are fields of the spec of a fresh model."""


def architecture_of(options: StartOptions, parent: Checkpoint | None) -> str:
    """Return which network will be trained."""
    if options.architecture is not None:
        return str(options.architecture)
    # A model without classes only lends its weights.
    own = parent is not None and parent.spec.classes
    return parent.spec.architecture if parent and own else ModelSpec().architecture


def start_from_parent(
    options: StartOptions,
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
    from unet_engine.models.adaptation import adapt_checkpoint
    from unet_engine.models.starting import start_from

    if options.imagenet or any(getattr(options, name) is not None for name in _FRESH):
        names = ", ".join("--" + name.replace("_", "-") for name in _FRESH)
        raise DataError(
            f"--imagenet, {names} are of a fresh model, and --from has its own "
            "weights and size; leave one of them out"
        )
    if parent.is_start:
        classes = classes or options.classes
    elif parent.spec.classes:
        parent = adapt_checkpoint(parent, classes=options.classes)
    return start_from(parent, options.architecture, classes=classes, seed=seed)


def start_fresh(
    options: StartOptions,
    images: Sequence[Image],
    classes: Sequence[str],
    seed: int,
    stop: Stop,
) -> Checkpoint:
    """Make a model that fits the data, with random weights or those of ImageNet.

    Parameters
    ----------
    options
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

    spec = _fresh_spec(options, images, classes)
    if not options.imagenet:
        return start_checkpoint(spec, seed)
    with bar(1.0, "fetching ImageNet weights", quiet=options.quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.update(done / max(total, done) - progress.n)

        return start_imagenet(spec, seed, progress=show, stop=stop)


def _fresh_spec(
    options: StartOptions, images: Sequence[Image], classes: Sequence[str]
) -> ModelSpec:
    # Grey and colour images together are all seen in grey.
    fields = {"in_channels": min(image.channels for image in images)} | {
        name: getattr(options, name) for name in _FRESH
    }
    given = {name: value for name, value in fields.items() if value is not None}
    architecture = options.architecture or ModelSpec().architecture
    spec = ModelSpec.for_architecture(
        architecture, classes=options.classes or tuple(classes), **given
    )
    if spec.ndim == 3 and spec.z_poolings is None:
        return _fit_to_stacks(spec, images, quiet=options.quiet)
    return spec


def _fit_to_stacks(
    spec: ModelSpec, images: Sequence[Image], *, quiet: bool
) -> ModelSpec:
    """Pool along Z as often as the thinnest stack allows, and report it."""
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
    report(
        [
            f"{poolings} of {spec.depth} poolings go along Z: the thinnest stack has "
            f"{planes} slices{apart} (--z-poolings sets another number)"
        ],
        quiet=quiet,
    )
    return fitted
