"""The masks of a viewer: one for each image that was predicted or painted on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QTimer

from napari_unet.results.mask import MaskView
from napari_unet.results.objects import hand_over
from napari_unet.state.large_arrays import describe_place
from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.brush import (
    ReleaseWatch,
)
from napari_unet.viewer.conversion import add_mask_layer, placement
from napari_unet.viewer.placement import follow_placement
from napari_unet.viewer.private import make_current

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class LeftMask:
    """What a mask layer belongs to, for a dock that is opened again.

    Attributes
    ----------
    source, working_image
        The image layer, and what is known about it.
    unfollow
        Ends that the mask follows the place of the image layer.
    """

    source: ReferenceType[Any]
    working_image: WorkingImage
    unfollow: Callable[[], None]


class LeftMasks:
    """The mask layers of a viewer.

    Attributes
    ----------
    masks
        By mask layer.
    """

    def __init__(self) -> None:
        self.masks: WeakKeyDictionary[Labels, LeftMask] = WeakKeyDictionary()


class Masks(QObject):
    """The mask views of a viewer, one per image layer that was predicted.

    Parameters
    ----------
    viewer
        Where the layers are.
    workspace
        Its ``mask_changed`` is emitted when a mask appears or goes.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, parent: QObject
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.workspace = workspace
        self._left = of_viewer(viewer, LeftMasks).masks
        self.views: WeakKeyDictionary[Any, MaskView] = WeakKeyDictionary()
        self.paused = False
        watch = ReleaseWatch(viewer, lambda: self.being_painted, self)
        workspace.painting = watch.check
        viewer.layers.events.removing.connect(self._on_removing)
        self._resume_left_masks()
        workspace.layer_changed.connect(self._follow_same_image)

    def _resume_left_masks(self) -> None:
        """Go on with the masks of a dock that was closed."""
        for layer in self.viewer.layers:
            left = self._left.get(layer)
            if left is not None and (source := left.source()) in self.viewer.layers:
                left.working_image.annotations.resume()
                left.working_image.corrected_objects.resume()
                self.workspace.adopt(source, left.working_image)
                self._watch(source, left.working_image, layer)

    def _watch(
        self, source: Any, working_image: WorkingImage, layer: Labels
    ) -> MaskView:
        view = MaskView(self.viewer, self.workspace, source, working_image, layer, self)
        view.unfit.connect(self.give_up)
        if self.paused:
            view.pause()
        self.views[source] = view
        return view

    def pause(self) -> None:
        """Leave the layers as napari made them, as the dock is not in the window.

        Strokes are kept all the same.
        """
        self.paused = True
        for view in list(self.views.values()):
            view.pause()

    def resume(self) -> None:
        """Go on where `pause` was called."""
        if self.paused:
            self.paused = False
            for view in list(self.views.values()):
                view.resume()

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
            self._pass_on(source, view)
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
            view = self._watch(source, working_image, layer)
            self._attach(layer, source, working_image)
            if place := describe_place(working_image.mask, f"mask of {source.name!r}"):
                show_info(f"{place} Your strokes are saved as always.")
            self.workspace.mask_changed.emit()
        return view

    def stop_tracking(self, source: Any) -> None:
        """Stop working on the mask of an image; its layer stays as it is.

        Another image layer that shows the same pixels takes it over.
        """
        if (view := self.views.get(source)) is not None:
            self._pass_on(source, view)
            self.workspace.mask_changed.emit()

    def give_up(self, view: MaskView) -> None:
        """Stop working on a mask whose layer shows something else now."""
        self._give_up(view, "shows something else now")

    def _give_up(self, view: MaskView, why: str) -> None:
        for image in self.workspace.layers_of(view.working_image):
            self.workspace.layer_lost.emit(image, f"{view.layer.name!r} {why}")
        self._release(view)
        _hide(view.layer)
        self.workspace.mask_changed.emit()

    def retire(self, source: Any) -> bool:
        """Stop tracking the mask of a layer that shows another image now.

        Returns
        -------
        bool
            Whether it was put away; if not, it has none, or one that another layer
            with the earlier pixels takes over.
        """
        view = self.views.get(source)
        self.stop_tracking(source)
        if view is None or view in self.views.values():
            return False
        _hide(view.layer)
        return True

    def _pass_on(self, source: Any, view: MaskView) -> None:
        """Give the mask to another layer of the same image, or stop tracking it."""
        others = self.workspace.layers_of(view.working_image)
        other = next((x for x in others if self._is_there(x) and x is not source), None)
        if other is not None:
            self._move(view, other)
        else:
            self._release(view)

    def _release(self, view: MaskView) -> None:
        self.views.pop(view.source, None)
        view.release()
        self._left.pop(view.layer, None)

    def _move(self, view: MaskView, source: Any) -> None:
        """Put a mask on the one of several equal images that is worked on."""
        if view.source is source:
            return
        self.views.pop(view.source, None)
        hand_over(self.viewer, view.source, source)
        self.views[source] = view
        self._left[view.layer].unfollow()
        self._attach(view.layer, source, view.working_image)
        view.move_to(source)

    def _attach(self, layer: Labels, source: Any, working_image: WorkingImage) -> None:
        """Let a mask layer follow its image layer, and remember whose it is."""
        place = partial(placement, layout=working_image.layout)
        self._left[layer] = LeftMask(
            ref(source), working_image, follow_placement(source, layer, place)
        )

    def _follow_same_image(self) -> None:
        if (view := self.current) is not None:
            self._move(view, self.workspace.layer)

    def _is_there(self, layer: Any) -> bool:
        return layer in self.viewer.layers

    def _on_removing(self, _: Any) -> None:
        make_current(self.viewer)

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer."""
        for source, view in list(self.views.items()):
            view.outlines.on_removed(layer)
            if layer is view.overlay:
                view.overlay = None
                self.workspace.mask_changed.emit()
            elif layer is view.layer:
                self._give_up(view, "was deleted")
                self._show_what_is_kept(source, view.working_image)
            elif layer is source:
                self.stop_tracking(source)

    def _show_what_is_kept(self, source: Any, working_image: WorkingImage) -> None:
        def show() -> None:
            # A viewer that is closing removes all layers; that needs no notice.
            if source in self.viewer.layers:
                show_info(
                    f"The mask is gone. The {count:,} touched pixels are kept and "
                    "come back with the next prediction."
                )

        if count := sum(working_image.counts.values()):
            QTimer.singleShot(0, show)


def _hide(layer: Labels) -> None:
    """Hide a mask that is not tracked any more, so that it is not painted on."""
    layer.mode = "pan_zoom"
    layer.visible = False
