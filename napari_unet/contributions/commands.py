"""Commands of the palette, and what they share with the reader and the demo."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari import current_viewer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

from napari_unet.widgets.keys import act, key_of
from unet_engine.errors import EngineError
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    import napari

    from napari_unet.dock import UNetWidget

DOCK_NAME = "U-Net (U-Net fine-tune)"
"""As napari's menus name the dock, so that they find one that was opened here."""


def open_dock(viewer: napari.Viewer) -> UNetWidget:
    """Return the dock of a viewer, opened and raised if it was not."""
    from napari_unet.dock import UNetWidget

    dock = UNetWidget(viewer)
    if dock in viewer.window.dock_widgets.values():
        dock.parent().show()
        dock.parent().raise_()
    else:
        viewer.window.add_dock_widget(dock, name=DOCK_NAME, area="right")
    return dock


def _press(command: str) -> None:
    """Do what a key does, in the dock of the current viewer, opened if it was not."""
    if (viewer := current_viewer()) is not None:
        act(open_dock(viewer), key_of(command))


focus_dock = partial(_press, "focus_dock")
predict = partial(_press, "predict")
paint_background = partial(_press, "paint_background")
paint_class_1 = partial(_press, "paint_class_1")
paint_class_2 = partial(_press, "paint_class_2")
paint_class_3 = partial(_press, "paint_class_3")
paint_class_4 = partial(_press, "paint_class_4")
paint_class_5 = partial(_press, "paint_class_5")
paint_class_6 = partial(_press, "paint_class_6")
paint_class_7 = partial(_press, "paint_class_7")
paint_class_8 = partial(_press, "paint_class_8")
paint_class_9 = partial(_press, "paint_class_9")
unmark = partial(_press, "unmark")
live = partial(_press, "live")
next_place = partial(_press, "next_place")
accept_view = partial(_press, "accept_view")
earlier_mask = partial(_press, "earlier_mask")
fine_tune = partial(_press, "fine_tune")
objects = partial(_press, "objects")
next_image = partial(_press, "next_image")
previous_image = partial(_press, "previous_image")
accept_image = partial(_press, "accept_image")
flicker = partial(_press, "flicker")
next_worst = partial(_press, "next_worst")


def new_model() -> None:
    """Choose New model in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).new_model()


def manage_models() -> None:
    """Choose Manage models in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).manage_models()


def pretrain() -> None:
    """Show how to pretrain in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).open_pretraining()


def show_models_folder() -> None:
    """Show the folder of the user's models in the file manager."""
    store = ModelStore()
    try:
        store.check_writable()
    except EngineError as error:
        show_error(str(error))
        return
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(store.root)))
    show_info(f"The models are in {store.root}")
