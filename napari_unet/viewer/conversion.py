"""The one place where napari layers become images of the engine, and back.

::

    Image layer  (Z, C, Y, X)          axes "ZCYX"
    engine       Image, planes (Z,)
    mask         (Z, Y, X) uint8       what the engine and the annotations index
    Labels layer (Z, 1, Y, X)          the same memory, placed over all channels

A leading channel axis is left out of the Labels layer. One in the middle stays, with
length 1 and stretched, because napari aligns layers by their last axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.transforms import Affine

from unet_engine.class_colours import colour_of
from unet_engine.errors import DataError
from unet_engine.images import Image, PixelSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel


_DIMENSIONS = {"[length]": ("um", "µm"), "[time]": ("s", "s")}
"""Unit that napari converts to, and its name in the engine."""

LARGEST_TEXTURE = 2**14
"""Edge of a plane that most graphics cards take as a whole; napari thins out others."""
_SMALLEST_LEVEL = 1024
"""Pixels of an edge below which a screen shows all of a level at once."""

_LEADING = "RPTZ"
"""Letters of axes that are gone through plane by plane, the usual ones last."""

_AXIS_NAMES = {
    "t": "T", "time": "T", "z": "Z", "depth": "Z", "plane": "Z", "slice": "Z",
    "c": "C", "ch": "C", "channel": "C", "channels": "C",
    "y": "Y", "row": "Y", "x": "X", "column": "X", "p": "P", "position": "P",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """What the axes of an image layer mean.

    Attributes
    ----------
    axes
        A letter for each axis of the data; ``S`` is the colour of an RGB layer.
    title
        The choice in words.
    """

    axes: str
    title: str

    @property
    def channel_axis(self) -> int | None:
        """Position of the axis ``C``."""
        position = self.axes.find("C")
        return None if position < 0 else position

    @property
    def stretched_axis(self) -> int | None:
        """Position of the axis of length 1 in the Labels layer."""
        return self.channel_axis or None

    @property
    def leading(self) -> str:
        """Axes that are gone through plane by plane."""
        return "".join(a for a in self.axes if a not in "CSYX")


def full_data(layer: Any) -> Any:
    """Return the array-like of a layer, the finest level of a multiscale one."""
    return layer.data[0] if layer.multiscale else layer.data


def layouts_of(layer: Any, in_channels: int = 1) -> tuple[Layout, ...]:
    """Return what the axes of a layer may mean, the most probable first.

    Parameters
    ----------
    layer
        Any image layer.
    in_channels
        Of the model: a first axis as long as this, above 1, is taken for channels.
    """
    shape = tuple(int(n) for n in full_data(layer).shape)
    colour = "S" if getattr(layer, "rgb", False) else ""
    leading = shape[: len(shape) - 2 - len(colour)]
    if not leading or colour or len(leading) > len(_LEADING):
        return (Layout(_letters(len(leading)) + "YX" + colour, "planes"),)
    if named := _named_axes(layer):
        return (Layout(named, "as in the layer's axis labels"),)
    choices = [Layout(_letters(len(leading)) + "YX", _title("slices", leading))]
    for position, count in enumerate(leading):
        rest = _letters(len(leading) - 1)
        axes = f"{rest[:position]}C{rest[position:]}YX"
        where = "" if len(leading) == 1 else f" on axis {position}"
        choices.append(Layout(axes, f"channels{where} ({count})"))
    if in_channels > 1 and in_channels in leading:
        choices.insert(0, choices.pop(1 + leading.index(in_channels)))
    return tuple(choices)


def _letters(count: int) -> str:
    return _LEADING[len(_LEADING) - count :] if count else ""


def _title(word: str, shape: Sequence[int]) -> str:
    return f"{word} ({' × '.join(map(str, shape))})"  # noqa: RUF001 - shown to people


def _named_axes(layer: Any) -> str:
    names = [str(name).lower() for name in getattr(layer, "axis_labels", ())]
    letters = "".join(_AXIS_NAMES.get(name, "?") for name in names)
    complete = "?" not in letters and len(set(letters)) == len(letters)
    return letters if complete and letters.endswith("YX") else ""


def elongation_of(layer: Any, layout: Layout) -> float:
    """Return the distance of the planes over that of the pixels, as displayed."""
    size = pixel_size_of(layer, layout)
    if size.elongation is not None:
        return size.elongation
    sizes = displayed_sizes(layer, layout)
    along = (sizes["Y"] * sizes["X"]) ** 0.5
    return sizes["Z"] / along if "Z" in sizes and along else 1.0


def labelled_layout(image: Any, labels: Any) -> Layout:
    """Return the layout of an image for which labels fit it.

    Raises
    ------
    DataError
        When they have another shape than the image has without its channels.
    """
    shape = tuple(full_data(labels).shape)
    layouts = layouts_of(image)
    for layout in layouts:
        planes = image_of(image, layout)
        if shape == (*planes.leading_shape, *planes.plane_shape):
            return layout
    raise DataError(
        f"the labels {labels.name!r} are {_times(shape)} pixels but the image "
        f"{image.name!r} is {_times(full_data(image).shape)}; choose labels made for "
        "this image"
    )


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def image_of(layer: Any, layout: Layout) -> Image:
    """Wrap the data of an image layer, without reading it.

    Raises
    ------
    DataError
        When the data are no real numbers or do not fit the layout.
    """
    data = full_data(layer)
    # A layout that does not fit is refused below, before its axes are looked up.
    fits = len(layout.axes) == data.ndim
    return Image.from_array(
        data,
        layout.axes,
        name=layer.name,
        rgb=bool(getattr(layer, "rgb", False)),
        pixel_size=pixel_size_of(layer, layout) if fits else None,
    )


def pixel_size_of(layer: Any, layout: Layout) -> PixelSize:
    """Return the size of a pixel along every axis, in the units of the layer.

    As it is displayed: an affine transformation counts.
    """
    stated = {}
    for axis, size in displayed_sizes(layer, layout).items():
        # A unit of napari is 1 of a kind; the engine takes its own names of units.
        unit = layer.units[layout.axes.index(axis)]
        kind = _DIMENSIONS.get(str(unit.dimensionality))
        if kind is not None:
            size, name = float((size * unit).to(kind[0]).magnitude), kind[1]
        else:
            name = "" if str(unit) == "pixel" else str(unit)
        stated[axis] = (size, name)
    return PixelSize.stated(stated)


def displayed_sizes(layer: Any, layout: Layout) -> dict[str, float]:
    """Return the step along T, Z, Y and X as it is displayed, in the layer's units."""
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    sizes = {}
    for axis in layout.axes:
        if axis not in "TZYX":
            continue
        corner = np.eye(layer.ndim)[layout.axes.index(axis)]
        size = np.linalg.norm(np.asarray(layer.data_to_world(corner)) - origin)
        # A rotation leaves a trace in the last digits.
        sizes[axis] = float(f"{size:.9g}")
    return sizes


def add_mask_layer(
    viewer: ViewerModel,
    source: ImageLayer,
    mask: npt.NDArray[np.uint8],
    *,
    name: str,
    layout: Layout,
) -> Labels:
    """Show a mask on the image it belongs to, directly above it.

    Parameters
    ----------
    source
        The image layer whose place, scale, rotation, shear and units it takes.
    mask
        ``(*leading, Y, X)`` class ids; the layer shares its memory.
    viewer
        Gets the layer.
    name, layout
        Of the layer. One of a plane too large for a graphics card is multiscale, and
        napari does not paint on those.
    """
    data = layer_view(mask, layout)
    large = max(mask.shape[-2:]) > LARGEST_TEXTURE
    layer = Labels(
        _levels(data) if large else data,
        name=name,
        opacity=0.55,
        multiscale=large,
        **placement(source, layout),
    )
    viewer.layers.insert(viewer.layers.index(source) + 1, layer)
    return layer


def _levels(data: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Return views of a mask with every second pixel, every fourth and so on.

    napari then reads what is on screen only, not the whole plane at every refresh.
    """
    levels = [data]
    while max(levels[-1].shape[-2:]) > _SMALLEST_LEVEL:
        levels.append(levels[-1][..., ::2, ::2])
    return levels


def layer_view(mask: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    """Return the mask with the axes of its layer, ``(*leading, [1,] Y, X)``."""
    axis = layout.stretched_axis
    return mask if axis is None else np.expand_dims(mask, axis)


def mask_indices(indices: Sequence[Any], layout: Layout) -> tuple[Any, ...]:
    """Return indices of the Labels layer as indices of the mask."""
    axis = layout.stretched_axis
    return tuple(part for at, part in enumerate(indices) if at != axis)


def placement(source: Any, layout: Layout, *, channels: bool = False) -> dict[str, Any]:
    """Return scale, translation, rotation, shear, affine and units for a result.

    ``channels``: it has those of the image too, as a mask has not.
    """
    left_out = None if channels else layout.channel_axis
    axes = [i for i in range(source.ndim) if i != left_out or i]
    scale, translate = np.array(source.scale)[axes], np.array(source.translate)[axes]
    if not channels and (axis := layout.stretched_axis) is not None:
        count = full_data(source).shape[axis]
        translate[axis] += scale[axis] * (count - 1) / 2
        scale[axis] *= count
    return {
        "scale": scale,
        "translate": translate,
        "rotate": np.asarray(source.rotate)[np.ix_(axes, axes)],
        "shear": _shear_matrix(source)[np.ix_(axes, axes)],
        "affine": source.affine.set_slice(axes),
        "units": tuple(source.units[i] for i in axes),
        "axis_labels": tuple(source.axis_labels[i] for i in axes),
    }


def place_of(layer: Any) -> dict[str, Any]:
    """Return scale, translation, rotation, shear, affine and units of a layer."""
    return placement(layer, Layout("?" * (layer.ndim - 2) + "YX", "all axes"))


def part_of(
    placed: dict[str, Any],
    start: npt.NDArray[np.float64],
    step: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Place a part of an array over the pixels of the array that it stands for.

    Parameters
    ----------
    placed
        Of the array, as of `placement`.
    start
        Where the middle of the first pixel of the part lies, in pixels of the array.
    step
        Pixels of the array that a pixel of the part is wide, along each axis.
    """
    parts = {name: placed[name] for name in ("scale", "translate", "rotate", "shear")}
    return {
        **placed,
        "scale": placed["scale"] * step,
        "translate": Affine(**parts)(start),
    }


def leading_of(index: Sequence[int], layout: Layout) -> tuple[int, ...]:
    """Return the position of a plane along the first axes of its Labels layer."""
    leading = list(index)
    if layout.stretched_axis is not None:
        leading.insert(layout.stretched_axis, 0)
    return tuple(leading)


def _shear_matrix(layer: Any) -> npt.NDArray[np.float64]:
    shear = np.asarray(layer.shear, dtype=float)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, 1)] = shear
    return matrix


def class_colormap(classes: int) -> DirectLabelColormap:
    """Return a colour for each class and none for the background."""
    colours: dict[int | None, str] = {n: colour_of(n) for n in range(1, classes)}
    return DirectLabelColormap(
        color_dict={None: "transparent", 0: "transparent", **colours}
    )


def touched_colormap(classes: int) -> DirectLabelColormap:
    """Return the colours of a layer where class ``k`` has the value ``k + 1``."""
    colours: dict[int | None, str] = {n + 1: colour_of(n) for n in range(classes)}
    return DirectLabelColormap(
        color_dict={None: "transparent", 0: "transparent", **colours}
    )
