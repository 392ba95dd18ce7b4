"""The mask of an image as a layer, and what the user does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.results.mask_exchange import MaskExchange
from napari_unet.results.stroke_outlines import StrokeOutlines
from napari_unet.results.stroke_recorder import StrokeRecorder
from napari_unet.results.tile_display import TileDisplay
from napari_unet.results.touched_layer import add_touched_layer, update_touched_layer
from napari_unet.state.equal_arrays import same_memory
from napari_unet.viewer.conversion import (
    class_colormap,
    layer_view,
    placement,
    touched_colormap,
)
from napari_unet.viewer.placement import put
from napari_unet.viewer.private import is_drawn_on
from napari_unet.viewer.viewport import shown_index, shown_region, shown_view

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.places import Index, Region


_OTHER_TOOLS = ("erase", "fill", "polygon", "pick")
"""Modes of a Labels layer in which the mouse does something else to labels."""


class MaskView(QObject):
    """A working image's mask as a Labels layer, and what the user does to it.

    Parameters
    ----------
    viewer, workspace
        Where it is shown, and what is worked on.
    source
        The image layer. Another one that shows the same pixels may take the mask over.
    working_image
        What is known about the image.
    layer
        Shows ``working_image.mask``.

    Attributes
    ----------
    touched
        Planes and regions in which pixels were touched or given back.
    unfit
        The view, when its layer got data that cannot be its mask.
    tiles
        Shows tiles that were written into the mask.
    exchange
        Shows the mask before this one, and back.
    outlines
        Lines around what was touched.
    """

    touched = Signal(object)
    unfit = Signal(object)
    _save_error_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        workspace: Workspace,
        source: Any,
        working_image: WorkingImage,
        layer: Labels,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._workspace = workspace
        self.source = source
        self.working_image = working_image
        self.layer = layer
        self.overlay: Labels | None = None
        self.tiles = TileDisplay(viewer, layer, working_image, workspace.painting, self)
        self.exchange = MaskExchange(
            working_image,
            self.tiles,
            lambda: self.on_screen,
            workspace.painting,
            self,
        )
        self.outlines = StrokeOutlines(
            viewer,
            layer,
            working_image,
            self,
            name=f"{source.name} strokes",
            painting=workspace.painting,
        )
        self.recorder = StrokeRecorder(layer, working_image, self._on_touched)
        layer.events.data.connect(self._on_data)
        layer.events.selected_label.connect(self._on_selected_label)
        layer.events.mode.connect(self._on_mode)
        self.set_classes(self._workspace.classes)
        self._save_error_changed.connect(self._on_save_error_changed)
        self._save_error = ""
        self._watch_saving()

    def unwatch(self) -> None:
        """Leave the layer to the user; it stays in the viewer as it is."""
        self.working_image.annotations.watch(None)
        self.recorder.disconnect()
        self.layer.events.data.disconnect(self._on_data)
        self.layer.events.selected_label.disconnect(self._on_selected_label)
        self.layer.events.mode.disconnect(self._on_mode)

    def release(self) -> None:
        """Stop watching the layer, for good."""
        self.unwatch()
        self.tiles.stop()
        self.exchange.finish()
        self.outlines.remove()
        self.show_touched(False)
        self.deleteLater()

    def pause(self) -> None:
        """Leave the layer as napari made it, and have no other one on it."""
        self.recorder.pause()
        self.outlines.take_away()

    def resume(self) -> None:
        """Go on where `pause` was called."""
        self.recorder.resume()
        self.outlines.forget()

    @property
    def layers(self) -> list[Labels]:
        """The mask and what lies on it, of what is in the viewer: the lowest first."""
        own = (self.layer, self.overlay, self.outlines.layer)
        return [layer for layer in own if layer in self._viewer.layers]

    def move_to(self, source: Any) -> None:
        """Put the mask on another image layer that shows the same pixels."""
        self.source = source
        put(self.layer, placement(source, layout=self.working_image.layout))
        if self.overlay is not None:
            self.show_touched(False)
            self.show_touched(True)
        # Later: napari may be changing its list of layers just now.
        QTimer.singleShot(0, self._raise)

    def _raise(self) -> None:
        """Lift the mask above its image, which would hide it."""
        layers = self._viewer.layers
        if self.layer not in layers or self.source not in layers:
            return
        for layer in reversed(self.layers):
            below = layers.index(self.source)
            if layers.index(layer) < below:
                layers.move(layers.index(layer), below + 1)

    @property
    def painting(self) -> bool:
        """Whether a stroke is being drawn on it: the mouse is down."""
        return is_drawn_on(self.layer)

    @property
    def index(self) -> Index:
        """The plane of the mask that is on screen."""
        return shown_index(self._viewer, self.layer, self.working_image.layout)

    @property
    def region(self) -> tuple[slice, slice]:
        """The rows and columns on screen."""
        return shown_region(self._viewer, self.layer)

    @property
    def on_screen(self) -> tuple[Index, Region]:
        """The plane on screen, and what of it; none of it beside the canvas."""
        index, middle, size = shown_view(
            self._viewer, self.source, self.working_image.layout
        )
        shape = self.working_image.mask.shape[-2:]
        rows, columns = (
            slice(*(min(max(0, int(at)), whole) for at in (m - n / 2, m + n / 2 + 1)))
            for m, n, whole in zip(middle, size, shape, strict=True)
        )
        return index, (rows, columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be painted on the mask."""
        return tuple(self.layer.features.get("class", ()))

    def set_classes(self, classes: tuple[str, ...]) -> None:
        """Give each class its colour, and its name under the mouse.

        A model without classes changes nothing of a mask that is there.

        Parameters
        ----------
        classes
            Of the chosen model; those of the strokes keep their values.
        """
        if classes:
            self.working_image.take_classes(classes, self._workspace.model_identity)
        self.show_classes()

    def show_classes(self) -> None:
        """Show the classes that the values of the mask stand for."""
        classes = self.working_image.names
        if not classes or classes == self.classes:
            return
        self.layer.colormap = class_colormap(len(classes))
        self.layer.features = {"index": range(len(classes)), "class": list(classes)}
        self.outlines.show_classes()
        if self.overlay is not None:
            self.overlay.colormap = touched_colormap(len(classes))

    def paint_with(self, label: int) -> None:
        """Make the layer ready for painting a class."""
        self.recorder.unmarks = False
        self._take_brush()
        self.layer.selected_label = label
        self._workspace.label_chosen.emit()

    def unmark(self) -> None:
        """Make the brush give what it covers back to the prediction."""
        self._take_brush()
        self.recorder.unmarks = True
        self._workspace.label_chosen.emit()

    def _take_brush(self) -> None:
        if self.layer.multiscale:
            show_warning(
                "The mask is too large for napari to paint on. Open the part that you "
                "want to correct as an image of its own, and predict that."
            )
        self._viewer.layers.selection.active = self.layer
        self.layer.visible = True
        self.layer.mode = "paint"

    def show_touched(self, shown: bool) -> None:
        """Show or hide a layer with the touched pixels in full colour."""
        if not shown:
            overlay, self.overlay = self.overlay, None
            if overlay is not None and overlay in self._viewer.layers:
                self._viewer.layers.remove(overlay)
            return
        if self.overlay is None:
            active = self._viewer.layers.selection.active
            self.overlay = add_touched_layer(
                self._viewer, self.source, self.working_image, above=self.layer
            )
            self._viewer.layers.selection.active = active

    def show_other_annotations(self) -> None:
        """Follow a working image that took other annotations than it had."""
        self.recorder.forget_history()
        self._watch_saving()
        if self.overlay is not None:
            self.show_touched(False)
            self.show_touched(True)
        self.outlines.forget()
        self.tiles.show_all()

    def _watch_saving(self) -> None:
        # The disk is waited for in a thread; a signal of Qt comes to this one.
        self.working_image.annotations.watch(self._save_error_changed.emit)
        self._on_save_error_changed()

    def _on_save_error_changed(self) -> None:
        before, self._save_error = (
            self._save_error,
            self.working_image.annotations.save_error,
        )
        if self._save_error and self._save_error != before:
            show_warning(self._save_error)
        if self._save_error != before:
            self._workspace.touched_changed.emit()

    def note_touched(self, places: list[tuple[Index, Region]]) -> None:
        """Show what was touched by other means than painting on the mask."""
        self.layer.refresh(extent=False)
        self._on_touched(places)

    def _on_touched(self, places: list[tuple[Index, Region]]) -> None:
        if self.overlay is not None:
            update_touched_layer(self.overlay, self.working_image, places)
        self.outlines.note(places)
        self.touched.emit(places)
        self._workspace.touched_changed.emit()

    def _on_data(self) -> None:
        """Follow a mask whose data were replaced, if they still fit."""
        data, mask = self.layer.data, self.working_image.mask
        shape = layer_view(mask, self.working_image.layout).shape
        if not isinstance(data, np.ndarray) or data.shape != shape:
            self.unfit.emit(self)
            show_warning(
                f"{self.layer.name!r} got data that cannot be painted as a mask of "
                f"{self.source.name!r}: it is hidden, and painting on it does not "
                f"count. Set an array in memory of shape {shape}, or press Predict."
            )
            return
        data = data.reshape(mask.shape)
        if same_memory(data, mask) or np.array_equal(data, mask):
            # Other memory with equal values.
            self.working_image.mask = data
            return
        self.working_image.replace_mask(data)
        self.layer.refresh(extent=False)

    def _on_mode(self) -> None:
        # Holding the space bar moves the view, and leaves the brush what it is.
        if self.layer.mode in _OTHER_TOOLS and self.recorder.unmarks:
            self.recorder.unmarks = False
            self._workspace.label_chosen.emit()

    def _on_selected_label(self) -> None:
        self.recorder.unmarks = False
        names = self.working_image.names
        most = len(names) - 1
        if 0 < most < self.layer.selected_label:
            self.layer.selected_label = most
            show_warning(
                f"The model has no class beyond {names[most]!r}. "
                "Add one in the U-Net dock to paint it."
            )
        self._workspace.label_chosen.emit()
