"""The mask layers in the viewer: made, watched, refreshed, let go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.results.objects import hand_over
from napari_unet.results.stroke_recorder import StrokeRecorder
from napari_unet.state.equal_arrays import same_memory
from napari_unet.state.large_arrays import describe_place, zeros
from napari_unet.viewer.brush import (
    ReleaseWatch,
    draw_without_brush,
    is_drawn_on,
    leave_out_brush_box,
)
from napari_unet.viewer.conversion import (
    add_mask_layer,
    class_colormap,
    layer_view,
    placement,
    touched_colormap,
)
from napari_unet.viewer.placement import follow_placement, put
from napari_unet.viewer.throttled_refresh import ThrottledRefresh
from napari_unet.viewer.viewport import sees, shown_index, shown_region

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel

    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.places import Index, Region, View

_left: WeakKeyDictionary[Labels, tuple[ReferenceType[Any], WorkingImage]] = (
    WeakKeyDictionary()
)
"""Image layer and working image of every mask, for a dock that is opened again."""


class MaskView(QObject):
    """A working image's mask as a Labels layer, and what the user does to it.

    Parameters
    ----------
    masks
        The collection it belongs to.
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
    """

    touched = Signal(object)
    _fault_changed = Signal()

    def __init__(
        self, masks: Masks, source: Any, working_image: WorkingImage, layer: Labels
    ) -> None:
        super().__init__(masks)
        self._masks = masks
        self._viewer = masks.viewer
        self._workspace = masks.workspace
        self.source = source
        self.working_image = working_image
        self.layer = layer
        self.overlay: Labels | None = None
        self._refreshing = ThrottledRefresh(
            self._refresh, self, self._workspace.painting
        )
        self._waiting: list[Region] = []
        self._seen: View | None = None
        self.recorder = StrokeRecorder(layer, working_image, self._on_touched)
        layer.events.data.connect(self._on_data)
        layer.events.selected_label.connect(self._on_selected_label)
        self.set_classes(self._workspace.classes)
        self._fault_changed.connect(self._on_fault_changed)
        self._told = ""
        self._watch_saving()
        if masks.paused:
            self.recorder.pause()

    def unwatch(self) -> None:
        """Leave the layer to the user; it stays in the viewer as it is."""
        self.working_image.annotations.watch(None)
        self.recorder.disconnect()
        self.layer.events.data.disconnect(self._on_data)
        self.layer.events.selected_label.disconnect(self._on_selected_label)

    def release(self) -> None:
        """Stop watching the layer, for good."""
        self.unwatch()
        self._refreshing.stop()
        self.show_touched(False)
        self.deleteLater()

    def move_to(self, source: Any) -> None:
        """Put the mask on another image layer that shows the same pixels."""
        self.source = source
        place = partial(placement, layout=self.working_image.layout)
        follow_placement(source, self.layer, place)
        put(self.layer, place(source))
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
        for layer in (self.overlay, self.layer):
            below = layers.index(self.source)
            if layer is not None and layers.index(layer) < below:
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
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be painted on the mask."""
        return tuple(self.layer.features.get("class", ()))

    def set_classes(self, classes: tuple[str, ...]) -> None:
        """Give each class its colour, and its name under the mouse.

        A model without classes says nothing of a mask that is there.

        Parameters
        ----------
        classes
            Of the chosen model; those of the strokes keep their values.
        """
        if classes:
            self.working_image.take_classes(classes, self._workspace.model_about)
        self.show_classes()

    def show_classes(self) -> None:
        """Show the classes that the values of the mask stand for."""
        classes = self.working_image.names
        if not classes or classes == self.classes:
            return
        self.layer.colormap = class_colormap(len(classes))
        self.layer.features = {"index": range(len(classes)), "class": list(classes)}
        if self.overlay is not None:
            self.overlay.colormap = touched_colormap(len(classes))

    def paint_with(self, label: int) -> None:
        """Make the layer ready for painting a class."""
        if self.layer.multiscale:
            show_warning(
                "The mask is too large for napari to paint on. Open the part that you "
                "want to correct as an image of its own, and predict that."
            )
        self._viewer.layers.selection.active = self.layer
        self.layer.visible = True
        self.layer.selected_label = label
        self.layer.mode = "paint"

    def show_tiles(self, tiles: Iterable[tuple[Index, Region]], view: View) -> None:
        """Show new tiles soon, if they are on screen: to draw the canvas takes a while.

        Those beside the screen wait until the camera moves there. Those of other planes
        need nothing: napari reads a plane when it is turned to.

        Parameters
        ----------
        tiles
            Planes and regions.
        view
            What is on screen.
        """
        self._waiting += [region for index, region in tiles if index == view[0]]
        self.look_at(view)

    def look_at(self, view: View) -> None:
        """Show the tiles that wait for the camera to come."""
        if self._seen is not None and self._seen[0] != view[0]:
            self._waiting.clear()
        self._seen = view
        if any(sees(view, region) for region in self._waiting):
            self._refreshing.ask()

    def show_all(self) -> None:
        """Show what has arrived, in the thumbnail too."""
        self._refreshing.ask(finished=True)

    def show_touched(self, shown: bool) -> None:
        """Show or hide a layer with the touched pixels in full colour."""
        if not shown:
            overlay, self.overlay = self.overlay, None
            if overlay is not None and overlay in self._viewer.layers:
                self._viewer.layers.remove(overlay)
            return
        if self.overlay is None:
            active = self._viewer.layers.selection.active
            self.overlay = self._add_overlay()
            self._viewer.layers.selection.active = active

    def _add_overlay(self) -> Labels:
        values = zeros(
            self.working_image.mask.shape, np.uint8, "layer of touched pixels"
        )
        for index in self.working_image.annotations.planes():
            # IGNORE is 255 and wraps to 0, which is transparent.
            values[index] = self.working_image.annotations.target(index) + np.uint8(1)
        overlay = Labels(
            layer_view(values, self.working_image.layout),
            name=f"{self.source.name} touched",
            opacity=0.9,
            colormap=touched_colormap(len(self.working_image.names)),
            **placement(self.source, self.working_image.layout),
        )
        overlay.editable = False
        layout = self.working_image.layout
        follow_placement(self.source, overlay, partial(placement, layout=layout))
        self._viewer.layers.insert(self._viewer.layers.index(self.layer) + 1, overlay)
        return overlay

    def _refresh(self, finished: bool) -> None:
        if self.layer not in self._viewer.layers:
            return
        if finished or self._seen is None or not self._takes_regions:
            self._waiting.clear()
            self.layer.refresh(extent=False, thumbnail=finished)
            return
        shown = [region for region in self._waiting if sees(self._seen, region)]
        self._waiting = [region for region in self._waiting if region not in shown]
        plane = self.working_image.mask[self._seen[0]]
        for region in shown:
            # What napari's brush emits: the texture gets these pixels and no others.
            self.layer.events.labels_update(
                data=np.ascontiguousarray(plane[region]),
                offset=[part.start for part in region],
            )

    @property
    def _takes_regions(self) -> bool:
        """Whether the pixels of the mask are those of the texture on screen."""
        ndim = self._viewer.dims.ndim
        return (
            tuple(self._viewer.dims.displayed) == (ndim - 2, ndim - 1)
            and self.layer.contour == 0
            and not self.layer.multiscale
            and self.working_image.mask.dtype == np.uint8
        )

    def show_other_annotations(self) -> None:
        """Follow a working image that took other annotations than it had."""
        self.recorder.forget_history()
        self._watch_saving()
        if self.overlay is not None:
            self.show_touched(False)
            self.show_touched(True)
        self.show_all()

    def _watch_saving(self) -> None:
        # The disk is waited for in a thread; a signal of Qt comes to this one.
        self.working_image.annotations.watch(self._fault_changed.emit)
        self._on_fault_changed()

    def _on_fault_changed(self) -> None:
        told, self._told = self._told, self.working_image.annotations.fault
        if self._told and self._told != told:
            show_warning(self._told)
        if self._told != told:
            self._workspace.touched_changed.emit()

    def _on_touched(self, places: list[tuple[Index, Region]]) -> None:
        if self.overlay is not None:
            for index, region in places:
                said = self.working_image.annotations.target(index, region)
                self._overlay_mask()[index][region] = said + np.uint8(1)
            self.overlay.refresh(extent=False, thumbnail=False, highlight=False)
        self.touched.emit(places)
        self._workspace.touched_changed.emit()

    def _overlay_mask(self) -> Any:
        assert self.overlay is not None
        return self.overlay.data.reshape(self.working_image.mask.shape)

    def _on_data(self) -> None:
        """Follow a mask whose data somebody replaced, if it still fits."""
        data, mask = self.layer.data, self.working_image.mask
        shape = layer_view(mask, self.working_image.layout).shape
        if not isinstance(data, np.ndarray) or data.shape != shape:
            self._masks.give_up(self)
            show_warning(
                f"{self.layer.name!r} got data that cannot be painted as a mask of "
                f"{self.source.name!r}: it is hidden, and painting on it does not "
                f"count. Set an array in memory of shape {shape}, or press Predict."
            )
            return
        data = data.reshape(mask.shape)
        if same_memory(data, mask) or np.array_equal(data, mask):
            # The memory is another, what it says is not.
            self.working_image.mask = data
            return
        self.working_image.replace_mask(data)
        self.layer.refresh(extent=False)

    def _on_selected_label(self) -> None:
        names = self.working_image.names
        most = len(names) - 1
        if 0 < most < self.layer.selected_label:
            self.layer.selected_label = most
            show_warning(
                f"The model has no class beyond {names[most]!r}. "
                "Add one in the U-Net dock to paint it."
            )
        self._workspace.label_chosen.emit()


def _put_away(layer: Labels) -> None:
    """Hide a mask that is let go, so that nobody paints on it by mistake."""
    layer.mode = "pan_zoom"
    layer.visible = False


class Masks(QObject):
    """The mask views of a viewer, one per image layer that was predicted.

    Parameters
    ----------
    viewer
        Where the layers are.
    workspace
        Told when a mask appears or goes.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, parent: QObject
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.workspace = workspace
        self.views: WeakKeyDictionary[Any, MaskView] = WeakKeyDictionary()
        self.paused = False
        watch = ReleaseWatch(viewer, lambda: self.being_painted, self)
        workspace.painting = watch.look
        leave_out_brush_box(viewer)
        viewer.layers.events.removing.connect(self._on_removing)
        self._take_up_left_masks()
        workspace.layer_changed.connect(self._follow_twin)

    def _take_up_left_masks(self) -> None:
        """Go on with the masks of a dock that was closed."""
        for layer in self.viewer.layers:
            reference, working_image = _left.get(layer, (None, None))
            source = None if reference is None else reference()
            if working_image is not None and source in self.viewer.layers:
                working_image.annotations.resume()
                self.workspace.adopt(source, working_image)
                self.views[source] = MaskView(self, source, working_image, layer)

    def pause(self) -> None:
        """Leave the layers as napari made them, as the dock is not in the window.

        Strokes are kept all the same.
        """
        self.paused = True
        for view in list(self.views.values()):
            view.recorder.pause()

    def resume(self) -> None:
        """Go on where `pause` was called."""
        if self.paused:
            self.paused = False
            for view in list(self.views.values()):
                view.recorder.resume()

    @property
    def current(self) -> MaskView | None:
        """The view of the chosen image."""
        layer = self.workspace.layer
        return None if layer is None else self.of(layer)

    def of(self, source: Any) -> MaskView | None:
        """Return the view of an image, if it has one, or one that shows the same."""
        if (view := self.views.get(source)) is not None:
            return view
        working_image = self.workspace.working_image_of(source)
        return next(
            (v for v in self.views.values() if v.working_image is working_image), None
        )

    @property
    def being_painted(self) -> Any:
        """The mask layer on which a stroke is being drawn, or None."""
        for view in self.views.values():
            if view.painting:
                return view.layer
        return None

    def source_of(self, layer: Any) -> Any:
        """Return the image layer that a mask layer belongs to, or None.

        Of several that show the same it is the chosen one.
        """
        for source, view in self.views.items():
            if layer is view.layer:
                chosen = self.workspace.layer
                return chosen if view is self.current else source
        return None

    def show(self, source: Any, working_image: WorkingImage) -> MaskView:
        """Return the view of a working image's mask, made if there is none."""
        view = self.of(source)
        if view is not None and view.working_image is not working_image:
            self._leave(source, view)
            view = self.of(source)
        if view is not None:
            self._move(view, source)
        else:
            layer = add_mask_layer(
                self.viewer,
                source,
                working_image.mask,
                name=f"{source.name} mask",
                layout=working_image.layout,
            )
            follow_placement(
                source, layer, partial(placement, layout=working_image.layout)
            )
            view = MaskView(self, source, working_image, layer)
            self.views[source] = view
            _left[layer] = (ref(source), working_image)
            if place := describe_place(working_image.mask, f"mask of {source.name!r}"):
                show_info(f"{place} Your strokes are saved as always.")
            self.workspace.mask_changed.emit()
        return view

    def let_go(self, source: Any) -> None:
        """Stop working on the mask of an image; its layer stays as it is.

        Another image layer that shows the same pixels takes it over.
        """
        if (view := self.views.get(source)) is not None:
            self._leave(source, view)
            self.workspace.mask_changed.emit()

    def give_up(self, view: MaskView) -> None:
        """Stop working on a mask whose layer shows something else now."""
        self._give_up(view, "shows something else now")

    def _give_up(self, view: MaskView, why: str) -> None:
        for image in self.workspace.layers_of(view.working_image):
            self.workspace.layer_lost.emit(image, f"{view.layer.name!r} {why}")
        self._release(view)
        _put_away(view.layer)
        self.workspace.mask_changed.emit()

    def retire(self, source: Any) -> bool:
        """Let go of the mask of a layer that shows another image now.

        Returns
        -------
        bool
            Whether it was put away; if not, it has none, or one that another layer
            with the earlier pixels takes over.
        """
        view = self.views.get(source)
        self.let_go(source)
        if view is None or view in self.views.values():
            return False
        _put_away(view.layer)
        return True

    def _leave(self, source: Any, view: MaskView) -> None:
        """Give the mask of an image to another one that shows the same, or up."""
        others = self.workspace.layers_of(view.working_image)
        heir = next((x for x in others if self._is_there(x) and x is not source), None)
        if heir is not None:
            self._move(view, heir)
        else:
            self._release(view)

    def _release(self, view: MaskView) -> None:
        self.views.pop(view.source, None)
        view.release()
        _left.pop(view.layer, None)

    def _move(self, view: MaskView, source: Any) -> None:
        """Put a mask on the one of several equal images that is worked on."""
        if view.source is source:
            return
        self.views.pop(view.source, None)
        hand_over(view.source, source)
        self.views[source] = view
        _left[view.layer] = (ref(source), view.working_image)
        view.move_to(source)

    def _follow_twin(self) -> None:
        if (view := self.current) is not None:
            self._move(view, self.workspace.layer)

    def _is_there(self, layer: Any) -> bool:
        return layer in self.viewer.layers

    def _on_removing(self, event: Any) -> None:
        draw_without_brush(self.viewer, self.viewer.layers[event.index])

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer."""
        for source, view in list(self.views.items()):
            if layer is view.overlay:
                view.overlay = None
                self.workspace.mask_changed.emit()
            elif layer is view.layer:
                self._give_up(view, "was deleted")
                self._tell_what_is_kept(source, view.working_image)
            elif layer is source:
                self.let_go(source)

    def _tell_what_is_kept(self, source: Any, working_image: WorkingImage) -> None:
        def tell() -> None:
            # A viewer that is closing takes all layers away; that needs no word.
            if source in self.viewer.layers:
                show_info(
                    f"The mask is gone. The {count:,} touched pixels are kept and "
                    "come back with the next prediction."
                )

        if count := sum(working_image.counts.values()):
            QTimer.singleShot(0, tell)
