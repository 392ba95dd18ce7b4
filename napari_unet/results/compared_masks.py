"""Masks that can be compared: of the dock, the one before, and any Labels layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Labels

from napari_unet.results.objects import source_of_objects
from napari_unet.viewer.conversion import full_data
from napari_unet.viewer.screen_layer import is_screen_layer
from unet_engine.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from unet_engine.places import Index, Region

    Ids = npt.NDArray[np.integer[Any]]

ValueKind = Literal["classes", "objects"]
"""What the values of a mask are."""

_MOST_CLASSES = 20
"""Highest value of a mask that nothing is known of above which these are objects."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparedMask:
    """A mask that can be compared with another one.

    Attributes
    ----------
    name
        What it is called in the dock.
    layer
        The Labels layer that shows it; of the mask before, that of the mask.
    view
        What the dock knows of it; None for other Labels layers.
    earlier
        It is the mask before.
    objects
        It is known to have object ids.
    """

    name: str
    layer: Labels
    view: MaskView | None = None
    earlier: bool = False
    objects: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape without leading axes of length 1, which other masks need not have."""
        full = full_data(self.layer).shape
        return (*(int(n) for n in full[:-2] if n > 1), *map(int, full[-2:]))

    @property
    def names(self) -> tuple[str, ...]:
        """Of its classes, background first; empty where they are not known."""
        return () if self.view is None else self.view.working_image.names

    def squeeze(self, leading: Index) -> Index:
        """Return a position in `shape` for one along the first axes of the layer."""
        sizes = full_data(self.layer).shape[:-2]
        return tuple(at for at, n in zip(leading, sizes, strict=True) if n > 1)

    def unsqueeze(self, index: Index) -> Index:
        """Return a position along the first axes of the layer for one in `shape`."""
        left = iter(index)
        sizes = full_data(self.layer).shape[:-2]
        return tuple(next(left) if n > 1 else 0 for n in sizes)

    def read(self, index: Index, region: Region, step: int = 1) -> Ids:
        """Return ids of a region of a plane, of every so many pixels."""
        if self.earlier:
            return self._read_earlier(index, region)[::step, ::step]
        every = (slice(part.start, part.stop, step) for part in region)
        key = (*self.unsqueeze(index), *every)
        return np.asarray(full_data(self.layer)[key])

    def _read_earlier(self, index: Index, region: Region) -> Ids:
        assert self.view is not None
        image = self.view.working_image
        # The shape of the mask may have axes of length 1 too.
        sizes = iter(index)
        at = tuple(next(sizes) if n > 1 else 0 for n in image.mask.shape[:-2])
        labels = image.versions.hidden_labels(at, region)
        image.annotations.apply_to(at, labels, region)
        return labels

    def kind(self, index: Index) -> ValueKind:
        """Return what its values can only be, by those of a plane."""
        if self.objects:
            return "objects"
        if self.view is not None:
            return "classes"
        height, width = self.shape[-2:]
        step = max(1, max(height, width) // 1024)
        ids = self.read(index, (slice(0, height), slice(0, width)), step)
        known = ids[ids != 255]
        return "objects" if known.max(initial=0) > _MOST_CLASSES else "classes"

    @property
    def data(self) -> LazyMask:
        """All of it as an array-like, for a thread."""
        return LazyMask(self)


class LazyMask:
    """A mask as an array-like that is read in parts.

    Parameters
    ----------
    mask
        The mask.
    """

    def __init__(self, mask: ComparedMask) -> None:
        self._mask = mask
        self.shape = mask.shape
        self.dtype = np.dtype(np.uint8) if mask.earlier else full_data(mask.layer).dtype

    def __getitem__(self, key: Any) -> Ids:
        """Return a part: integers for leading axes, then two slices or none."""
        parts = key if isinstance(key, tuple) else (key,)
        ahead = len(self.shape) - 2
        index, region = parts[:ahead], parts[ahead:]
        if len(index) < ahead or not region:
            missing = [range(n) for n in self.shape[len(index) : ahead]]
            whole = (slice(0, self.shape[-2]), slice(0, self.shape[-1]))
            return self._stack(index, missing, region or whole)
        return self._mask.read(index, region)

    def _stack(self, index: Index, missing: list[range], region: Any) -> Ids:
        if not missing:
            return self._mask.read(index, region)
        planes = [self._stack((*index, at), missing[1:], region) for at in missing[0]]
        return np.stack(planes)


def find_masks(viewer: ViewerModel, masks: Masks) -> list[ComparedMask]:
    """Return what can be compared now: that of the chosen image first."""
    found: list[ComparedMask] = []
    view = masks.current
    if view is not None and view.layer in viewer.layers:
        versions = view.working_image.versions
        made = f" ({versions.shown.name})" if versions.shown else ""
        found.append(ComparedMask(name=f"the mask{made}", layer=view.layer, view=view))
        if versions.hidden is not None:
            name = f"mask before ({versions.hidden.name})"
            if versions.shows_earlier:
                name = f"newer mask ({versions.hidden.name})"
            found.append(
                ComparedMask(name=name, layer=view.layer, view=view, earlier=True)
            )
    others = {one.layer: one for one in masks.views.values()}
    overlays = [one.overlay for one in others.values()]
    for layer in reversed(viewer.layers):
        if not isinstance(layer, Labels) or is_screen_layer(layer):
            continue
        if layer in overlays or (view is not None and layer is view.layer):
            continue
        objects = source_of_objects(viewer, layer) is not None
        found.append(
            ComparedMask(
                name=layer.name or "a layer without a name",
                layer=layer,
                view=others.get(layer),
                objects=objects,
            )
        )
    return found


def check_pair(first: ComparedMask, second: ComparedMask) -> str:
    """Check that two masks can be compared.

    Returns
    -------
    str
        A note for the user; empty when there is nothing to note.

    Raises
    ------
    DataError
        When they are of different images.
    """
    if first.shape != second.shape:
        raise DataError(
            f"{first.name} is {_times(first.shape)} pixels but {second.name} is "
            f"{_times(second.shape)}; choose two masks of one image"
        )
    return "" if _same_place(first.layer, second.layer) else _OTHER_PLACE


_OTHER_PLACE = (
    "The two layers have another scale or place: they are compared pixel by pixel, in "
    "the place of the first."
)


def _same_place(first: Any, second: Any) -> bool:
    corners = [(0, 0), [n - 1 for n in full_data(first).shape[-2:]]]
    there, other = (
        [layer.data_to_world((*(0,) * (layer.ndim - 2), *at))[-2:] for at in corners]
        for layer in (first, second)
    )
    return bool(np.allclose(there, other))


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
