"""``ModelSpec``: what a model is. ``ARCHITECTURES``: the networks there are.

Nothing here needs torch: a spec can be read, checked and shown where no network runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unet_engine.errors import SpecError
from unet_engine.tiling import Footprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

IGNORE = 255
"""Target value of a pixel that nobody labelled: it has no loss and no gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model is: enough to build it and to prepare its input.

    Parameters
    ----------
    architecture
        A name in ``ARCHITECTURES``.
    ndim
        Spatial dimensions, 2 or 3.
    in_channels
        Channels of the input image.
    classes
        Name of each class; class 0 is the background.
    depth
        Number of poolings.
    width
        Channels of the first level; each pooling doubles them.
    low_percentile, high_percentile
        Percentiles of the whole image that become 0 and 1.
    pixel_size_um
        Edge of a pixel in micrometres that the model was trained at, if known.
    """

    architecture: str = "unet"
    ndim: int = 2
    in_channels: int = 1
    classes: tuple[str, ...] = ("background", "foreground")
    depth: int = 4
    width: int = 16
    low_percentile: float = 1.0
    high_percentile: float = 99.8
    pixel_size_um: float | None = None

    def __post_init__(self) -> None:
        _check_spec(self)

    @property
    def footprint(self) -> Footprint:
        """Halo and allowed input sizes of the network."""
        return ARCHITECTURES[self.architecture].footprint(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON types."""
        values = dataclasses.asdict(self)
        values["classes"] = list(self.classes)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """Read a spec that ``to_dict`` wrote.

        Raises
        ------
        SpecError
            For a key this version does not know, a wrong type or an impossible value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise SpecError(
                f"the spec has keys this version does not know: {', '.join(unknown)}; "
                "update napari-unet-finetune"
            )
        values = dict(values)
        if isinstance(values.get("classes"), list):
            values["classes"] = tuple(values["classes"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A row of the table of networks.

    Attributes
    ----------
    network
        ``"module:Class"`` under ``unet_engine.networks``; the class takes the spec.
    footprint
        Halo and allowed input sizes for a spec.
    ndims
        Dimensionalities it can be built for.
    reference
        The paper it comes from.
    """

    network: str
    footprint: Callable[[ModelSpec], Footprint]
    ndims: tuple[int, ...]
    reference: str


def _unet_footprint(spec: ModelSpec) -> Footprint:
    # Two 3x3 convolutions on each of ``depth`` levels on the way down, at the bottom,
    # and on the way up; on level l one pixel is 2**l pixels of the image.
    halo = 4 * (2**spec.depth - 1) + 2 * 2**spec.depth
    return Footprint.isotropic(spec.ndim, halo=halo, divisor=2**spec.depth)


ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(
        network="unet:UNet",
        footprint=_unet_footprint,
        ndims=(2,),
        reference="Ronneberger, Fischer, Brox 2015, padded and batch-normalised",
    ),
}


def build(spec: ModelSpec) -> nn.Module:
    """Build the network of a spec, with fresh weights.

    Returns
    -------
    torch.nn.Module
        Maps ``(N, in_channels, *spatial)`` float32 to ``(N, classes, *spatial)``
        logits; spatial sizes as ``spec.footprint`` allows.
    """
    module, _, name = ARCHITECTURES[spec.architecture].network.partition(":")
    network: nn.Module = getattr(import_module(f"unet_engine.networks.{module}"), name)(
        spec
    )
    return network


def _check_spec(spec: ModelSpec) -> None:
    if spec.architecture not in ARCHITECTURES:
        raise SpecError(
            f"there is no architecture {spec.architecture!r}; "
            f"choose one of {', '.join(sorted(ARCHITECTURES))}"
        )
    ndims = ARCHITECTURES[spec.architecture].ndims
    if spec.ndim not in ndims:
        raise SpecError(
            f"{spec.architecture} is made for {' or '.join(map(str, ndims))} "
            f"dimensions, not {spec.ndim}"
        )
    for name, least, most in (
        ("in_channels", 1, 1024),
        ("depth", 1, 8),
        ("width", 1, 512),
    ):
        value = getattr(spec, name)
        if type(value) is not int or not least <= value <= most:
            raise SpecError(
                f"{name} is {value!r}; use a whole number from {least} to {most}"
            )
    _check_classes(spec.classes)
    low, high = spec.low_percentile, spec.high_percentile
    if not (_is_number(low) and _is_number(high) and 0 <= low < high <= 100):
        raise SpecError(
            f"percentiles {low!r} and {high!r} do not satisfy 0 <= low < high <= 100"
        )
    size: Any = spec.pixel_size_um
    if size is not None and not (_is_number(size) and size > 0):
        raise SpecError(f"pixel_size_um is {size!r}; use micrometres above 0, or None")


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, tuple) or not all(isinstance(c, str) for c in classes):
        raise SpecError(f"classes must be names, got {classes!r}")
    if not 2 <= len(classes) < IGNORE:
        raise SpecError(
            f"a model needs 2 to {IGNORE - 1} classes, background included, "
            f"got {len(classes)}"
        )
    if len(set(classes)) < len(classes):
        raise SpecError(f"two classes share a name: {', '.join(classes)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
