"""Strokes that come back with their image, and the sentence that the dock shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from napari_unet.state.working_image import WorkingImage
from napari_unet.viewer.conversion import image_of, layouts_of
from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.store import ImageIdentity, StrokeStore
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.viewer.conversion import Layout
    from unet_engine.annotations.recovery import Recovery
    from unet_engine.images import Image

_MONTHS = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]
_TORN = " The one that was being made when the program ended is lost."
_MOVED = " They were painted when the image was at {0}."
_CHANGED = " The image is not the same any more: check whether they still fit."


class SavedStrokes:
    """The strokes of image layers, in a folder for each image.

    Parameters
    ----------
    store
        Where they are; by default in the user's data folder.
    """

    def __init__(self, store: StrokeStore | None = None) -> None:
        self.store = store or StrokeStore()
        self._known: WeakKeyDictionary[Any, ImageIdentity] = WeakKeyDictionary()
        self._edited: WeakSet[Any] = WeakSet()

    def find(self, layer: Any, in_channels: int = 1) -> WorkingImage | None:
        """Return a layer as a working image with its strokes; None without any.

        Parameters
        ----------
        layer
            An image layer.
        in_channels
            Of the chosen model: an axis of that length is likely to be the channels.

        Raises
        ------
        DataError
            When there is no room for its mask.
        """
        if not self.store.has_any():
            return None
        for layout in layouts_of(layer, in_channels):
            try:
                image = image_of(layer, layout)
            except DataError:
                continue
            if self.store.find(self._identity(layer, image)) is not None:
                return self.make_working_image(layer, image, layout)
        return None

    def folder_of(self, layer: Any, image: Image) -> Path | None:
        """Return where the strokes of a layer are; None when it has none."""
        if not self.store.has_any():
            return None
        return self.store.find(self._identity(layer, image))

    def make_working_image(
        self, layer: Any, image: Image, layout: Layout
    ) -> WorkingImage:
        """Return an image as a working image whose strokes are saved."""
        identity = self._identity(layer, image)
        other = self.store.of_other_size(identity)
        try:
            annotations = self.store.open(identity)
        except DataError as error:
            unsaved = f"{error}. What is painted here is not saved."
            return WorkingImage(image, layout, Annotations(identity.shape), unsaved)
        recovery = annotations.recovery
        changed = identity.changed_since(recovery.image_info)
        origin_note = _describe(recovery, changed=changed) if recovery.strokes else ""
        if origin_note and (before := identity.moved_from(recovery.image_info)):
            origin_note += _MOVED.format(before)
        if other is not None:
            origin_note = _describe_other_size(other, identity.shape[-2:])
        try:
            working_image = WorkingImage(image, layout, annotations, origin_note)
            working_image.corrected_objects = self.store.open_corrected_objects(
                identity
            )
        except DataError:
            annotations.close()
            raise
        return working_image

    def start_anew(self, layer: Any, working_image: WorkingImage) -> Path:
        """Set the strokes of a working image aside.

        Returns
        -------
        Path
            The folder where they are now.

        Raises
        ------
        DataError
            When they are not saved, or cannot be moved.
        """
        folder = working_image.annotations.folder
        if folder is None or working_image.annotations.save_error:
            raise DataError(
                working_image.annotations.save_error
                or "there are no saved strokes that could be set aside"
            )
        identity = self._identity(layer, working_image.image)
        working_image.annotations.close()
        working_image.corrected_objects.close()
        try:
            aside = self.store.set_aside(folder)
        finally:
            working_image.start_anew(self.store.open(identity))
            working_image.corrected_objects = self.store.open_corrected_objects(
                identity
            )
        return aside

    def forget(self, layer: Any, *, edited: bool) -> None:
        """Identify a layer anew when it is chosen again.

        Parameters
        ----------
        layer
            Any.
        edited
            Its pixels are not those of its file any more.
        """
        self._known.pop(layer, None)
        if edited:
            self._edited.add(layer)

    def _identity(self, layer: Any, image: Image) -> ImageIdentity:
        """Return what identifies an image; its pixels are read once."""
        if layer not in self._known:
            path = None if layer in self._edited else layer.source.path
            self._known[layer] = ImageIdentity.of(image, path)
        shape = (*image.leading_shape, *image.plane_shape)
        return replace(self._known[layer], axes=image.axes, shape=shape)


def _describe(recovery: Recovery, *, changed: bool) -> str:
    """Return the sentences on strokes that are back."""
    one = recovery.strokes == 1
    count = "Your stroke" if one else f"Your {recovery.strokes:,} strokes"
    parts = [f"{count} of {_day(recovery.time)} {'is' if one else 'are'} back."]
    if recovery.cut:
        parts.append(_TORN)
    if recovery.lost:
        parts.append(f" {recovery.lost:,} more could not be read and are lost.")
    if recovery.elsewhere:
        slices = "slice that is" if recovery.elsewhere == 1 else "slices that are"
        parts.append(
            f" Those on {recovery.elsewhere:,} {slices} not in this image are kept, "
            "unseen."
        )
    if changed:
        parts.append(_CHANGED)
    return "".join(parts)


def _describe_other_size(other: tuple[int, int], now: tuple[int, ...]) -> str:
    before, after = (f"{width} × {height}" for height, width in (other, now))  # noqa: RUF001
    return (
        f"This image had {before} pixels when you painted on it and has {after} now: "
        "those strokes are kept aside and not used."
    )


def _day(seconds: float) -> str:
    day = datetime.fromtimestamp(seconds).date()
    today = date.today()
    if day == today:
        return "today"
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day.day} {_MONTHS[day.month - 1]}{year}"
