"""Commands of the palette, and what they share with the reader and the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari import current_viewer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices

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


def predict() -> None:
    """Press Predict in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).predict.start()


def accept_view() -> None:
    """Press Accept this view in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).correct.accept_view()


def fine_tune() -> None:
    """Press Fine-tune in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).fine_tune.start()


def objects() -> None:
    """Press Objects in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).open_objects()


def next_image() -> None:
    """Show the next image of the list in the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).images.go_next()


def previous_image() -> None:
    """Show the previous image of the list in the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).images.go_previous()


def accept_image() -> None:
    """Press Accept image in the dock of the current viewer."""
    if (viewer := current_viewer()) is not None:
        open_dock(viewer).images.accept()


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
