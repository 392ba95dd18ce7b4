"""``ModelSpec``: what a model is, checked before any weight is made.

Nothing here needs torch: a spec can be read, checked and shown where no network runs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from unet_engine.errors import SpecError
from unet_engine.images.brightness.preparation import Brightness, Colour, Preparation
from unet_engine.llvm import keep_triton_out
from unet_engine.models.architectures import ARCHITECTURES, Architecture, row_for
from unet_engine.models.imported_network import ImportedNetwork
from unet_engine.models.spec_checks import OBJECT_MAPS, check_spec, row_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from unet_engine.tiling.tiles import Footprint

__all__ = ["ARCHITECTURES", "OBJECT_MAPS", "Architecture", "ModelSpec", "build"]


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
        Name of each class; class 0 is the background. Empty: the network has no
        classes and returns an image with the channels of its input.
    depth
        Number of poolings.
    width
        Channels of the first level; each pooling doubles them (in an FCN as its
        classifier has it).
    z_poolings
        How many of the poolings, the deepest ones, also pool along Z: fewer for a
        stack of few planes or of planes that lie far apart. None: all of them.
    dense_width
        Channels of the two dense layers of an FCN; 4096 in the paper.
    low_percentile, high_percentile
        Percentiles of the whole image that become 0 and 1.
    brightness
        What becomes 0 and 1: those percentiles, or with ``"foreground"`` the background
        and the objects, however few they are (``images.brightness.foreground``).
    colour
        How a model of one channel reads a colour image: ``"luminance"``, or, where the
        image is a bright-field stain, the optical density of ``"haematoxylin"`` or of
        the ``"nuclear dye"``, which the image decides (``images.stains``).
    pixel_size_um
        Edge of a pixel in micrometres that the model was trained at, if known.
    object_maps
        What the network gives beside the classes, of ``OBJECT_MAPS``: ``distance`` of
        a pixel to the nearest one outside its object, divided by the largest in that
        object, 0 on background; ``boundary``, 1 on the pixels of an object that touch
        background or another object along their sides.
    elongation
        Distance of two slices over the edge of a pixel that a model of volumes was
        trained at, if known.
    object_size_px
        Median diameter of the objects that the model was trained on, in its pixels, of
        a disk of their area; None where it is not known. Images are predicted at the
        scale that brings their objects to this size.
    object_size_range
        Least and largest of these diameters, of nine objects in ten.
    background_range
        Least and largest mean brightness of the background in the images that the
        model was trained on, on the scale of its input, where the ``"percentiles"``
        leave it open; None where it is not known. It is not proposed for others.
    map_depth
        How much lower the object maps are between touching objects than inside, of 1,
        where the size of the objects is estimated; None: less, as of models before.
    slices
        Neighbouring slices of a stack that a U-Net of images restores the middle one
        from, an odd number; 1: that slice alone.
    imported
        How a network of another program is run, of the architecture ``"imported"``;
        None for those that are built here.
    measured_halo, measured_error
        Per axis how far a pixel's influence was found to reach, and the largest
        difference in probability that was measured; see ``compute.measured_halo``.
    """

    architecture: str = "unet"
    ndim: int = 2
    in_channels: int = 1
    classes: tuple[str, ...] = ("background", "foreground")
    depth: int = 4
    width: int = 16
    z_poolings: int | None = None
    dense_width: int = 4096
    low_percentile: float = 1.0
    high_percentile: float = 99.8
    brightness: Brightness = "percentiles"
    colour: Colour = "luminance"
    pixel_size_um: float | None = None
    object_maps: tuple[str, ...] = ()
    elongation: float | None = None
    object_size_px: float | None = None
    object_size_range: tuple[float, float] | None = None
    background_range: tuple[float, float] | None = None
    map_depth: float | None = None
    slices: int = 1
    imported: ImportedNetwork | None = None
    measured_halo: tuple[int, ...] | None = None
    measured_error: float | None = None

    def __post_init__(self) -> None:
        check_spec(self)

    @classmethod
    def for_architecture(cls, architecture: str, **values: Any) -> ModelSpec:
        """Make a spec with the depth, width and dimensions its paper has.

        Parameters
        ----------
        architecture
            A name in ``ARCHITECTURES``.
        **values
            Fields of the spec, which come first.

        Raises
        ------
        SpecError
            When there is no such network or it cannot be built like this.
        """
        row = row_of(architecture)
        ndim = values.get("ndim", row.ndims[0])
        defaults = {"depth": row.depth_for(ndim), "width": row.width, "ndim": ndim}
        return cls(architecture=architecture, **(defaults | values))

    def changed(self, **values: Any) -> ModelSpec:
        """Return the spec with other fields; what was measured does not hold then."""
        if all(getattr(self, name) == value for name, value in values.items()):
            return self
        unmeasured = {"measured_halo": None, "measured_error": None}
        return dataclasses.replace(self, **{**unmeasured, **values})

    @property
    def row(self) -> Architecture:
        """What is known of its architecture."""
        return row_for(self.architecture)

    @property
    def preparation(self) -> Preparation:
        """How an image becomes the input of the network."""
        return Preparation(
            low=self.low_percentile,
            high=self.high_percentile,
            brightness=self.brightness,
            colour=self.colour,
            steps=() if self.imported is None else self.imported.preprocessing,
        )

    @property
    def footprint(self) -> Footprint:
        """Halo and allowed input sizes of the network."""
        return self.row.footprint(self)

    def footprint_with(self, halo: Sequence[int] | None) -> Footprint:
        """Return the footprint with a smaller halo; None is the exact one."""
        if halo is None:
            return self.footprint
        return dataclasses.replace(self.footprint, halo=tuple(halo))

    @property
    def halo_choices(self) -> tuple[tuple[int, ...], ...]:
        """Halos that leave the pooling grid where it is, the smallest first.

        The last one is exact. A network without padding has no other.
        """
        exact = self.footprint
        if not self.row.padded or self.imported is not None:
            return (exact.halo,)
        steps = max(h // d for h, d in zip(exact.halo, exact.divisor, strict=True))
        return tuple(
            tuple(
                h - min(step, h // d) * d
                for h, d in zip(exact.halo, exact.divisor, strict=True)
            )
            for step in range(steps, -1, -1)
        )

    @property
    def restores(self) -> bool:
        """Whether it is a network made to restore images, and no start of another."""
        return not self.classes and bool(self.row.image_network)

    @property
    def input_maps(self) -> int:
        """Channels of the network's input: those of all slices."""
        return self.slices * self.in_channels

    @property
    def out_channels(self) -> int:
        """Channels of the output: classes and object maps, or those of the input."""
        return len(self.classes) + len(self.object_maps) or self.in_channels

    def check_input(self, shape: Sequence[int]) -> None:
        """Check the spatial shape of a network's input.

        Raises
        ------
        SpecError
            When the network cannot take it; names the sizes nearby that it can.
        """
        footprint = self.footprint
        valid = not self.row.padded
        for axis, size in enumerate(shape):
            least = 2 * footprint.halo[axis] + 1 if valid else 1
            fitting = footprint.allowed_size(max(size, least), axis)
            if size != fitting:
                step = footprint.divisor[axis]
                below = f"{fitting - step} or " if fitting - step >= least else ""
                raise SpecError(
                    f"{self.architecture} at depth {self.depth} cannot take an input "
                    f"of {' x '.join(map(str, shape))} pixels: use {below}{fitting} "
                    f"instead of {size}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON types."""
        values = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        if self.imported is not None:
            values["imported"] = self.imported.to_dict()
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = list(value)
        for name in _LATER_FIELDS:
            if getattr(self, name) == _DEFAULTS[name]:
                # Versions before the field read the file as well.
                del values[name]
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
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        if isinstance(values.get("imported"), dict):
            values["imported"] = ImportedNetwork.from_dict(values["imported"])
        return cls(**values)


_LATER_FIELDS = (
    "brightness",
    "colour",
    "object_maps",
    "elongation",
    "object_size_px",
    "object_size_range",
    "background_range",
    "map_depth",
    "slices",
    "imported",
)
"""Fields that the first version of the file does not know."""

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(ModelSpec)}


WHY_NOT_BUILT = (
    "this network of another program can predict and no more: it is run as it came, "
    "so it cannot be fine-tuned, exported again or used for Live; choose another model"
)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network of a spec, with fresh weights.

    Returns
    -------
    torch.nn.Module
        Maps ``(N, input_maps, *spatial)`` float32 to ``(N, out_channels, *spatial)``
        logits, those of the classes first and those of the object maps after them, or
        an image if the spec has no classes; spatial sizes as
        ``spec.footprint`` allows, and in the output ``2 * halo`` smaller if the
        architecture is not padded.
    """
    if spec.imported is not None:
        raise SpecError(WHY_NOT_BUILT)
    # Making the weights can already load PyTorch's compiler.
    keep_triton_out()
    row = spec.row
    module, _, name = row.network_for(spec.classes).partition(":")
    network: nn.Module = getattr(
        import_module(f"unet_engine.models.networks.{module}"), name
    )(spec)
    return network
