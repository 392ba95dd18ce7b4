"""The demonstration: a real stack, a prediction in place, ready to paint."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QDialog

from napari_unet.contributions.commands import open_dock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.utils.notifications import Notification

    from napari_unet.dock import UNetWidget

MODEL = "nuclei"
_FIELD = 3
"""Slice on which the model is mostly right, and wrong in one place easy to see."""

_PICTURE_SIZE = (1440, 900)
"""Pixels of the window in the picture, width and height: that of a small laptop."""
_SETTLE_MS = 1500
"""Milliseconds in which the canvas is drawn before the picture is taken."""
_WAIT_MS = 300_000
"""Milliseconds to wait for the prediction: five minutes, for slow CPUs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Open napari with a real stack, predict it and select the brush.

    Parameters
    ----------
    argv
        Arguments without the name of the program; those of the process when None.

    Returns
    -------
    code
        0, or 1 when there is no prediction or no picture; stderr has the reason.
    """
    arguments = _parser().parse_args(argv)
    picture: Path | None = arguments.screenshot
    if picture is not None and not os.access(picture.resolve().parent, os.W_OK):
        print(f"demo: the folder of {picture} cannot be written to", file=sys.stderr)
        return 1
    # napari warns that on PyQt5 it cannot follow the desktop's theme: not needed here.
    warnings.filterwarnings("ignore", "System theme detection", UserWarning)
    viewer = napari.Viewer(title="napari U-Net fine-tuning")
    viewer.open_sample("napari-unet-finetune", "ihc_fields")
    viewer.dims.set_current_step(0, _FIELD)
    demo = Demo(viewer, picture)
    QTimer.singleShot(0, demo.start)
    napari.run()
    if demo.failure:
        print(f"demo: {demo.failure}", file=sys.stderr)
    return 1 if demo.failure else 0


class Demo(QObject):
    """What the demonstration does by itself, step by step.

    Parameters
    ----------
    viewer
        Shows the image that is predicted.
    picture
        PNG file that the window is saved to; it closes then. None: it stays open.

    Attributes
    ----------
    failure
        Why there is no prediction or no picture; empty when all is well.
    """

    def __init__(self, viewer: napari.Viewer, picture: Path | None) -> None:
        super().__init__()
        self._viewer = viewer
        self._picture = picture
        self._dock: UNetWidget = open_dock(viewer)
        self.failure = "the window was closed before the prediction was there"
        notification_manager.notification_ready.connect(self._on_notification)

    def start(self) -> None:
        """Predict with the widget's own button."""
        if self._picture is not None:
            self._viewer.window.resize(*_PICTURE_SIZE)
            QTimer.singleShot(_WAIT_MS, self._on_time_over)
        # The dock has taken its room; the image is to fill what is left.
        self._viewer.reset_view()
        workspace = self._dock.workspace
        self._dock.select_model(MODEL)
        workspace.activity_changed.connect(self._on_activity_changed)
        self._dock.predict.predict.click()
        if not workspace.activity:
            self._fail("the prediction did not start")

    def _on_notification(self, notification: Notification) -> None:
        if notification.severity >= NotificationSeverity.ERROR and self.failure:
            self._fail(notification.message)

    def _on_activity_changed(self) -> None:
        if self._dock.workspace.activity == "":
            QTimer.singleShot(0, self._select_brush)

    def _select_brush(self) -> None:
        self._dock.workspace.activity_changed.disconnect(self._on_activity_changed)
        view = self._dock.masks.current
        if view is None or not view.working_image.mask.any():
            self._fail("the prediction found nothing")
            return
        view.paint_with(1)
        view.layer.brush_size = 8
        self.failure = ""
        if self._picture is not None:
            self._viewer.reset_view()
            QTimer.singleShot(_SETTLE_MS, self._save)

    def _save(self) -> None:
        # Without a window manager napari's notifications never fade.
        for note in self._dock.window().findChildren(QDialog):
            note.close()
        try:
            self._viewer.screenshot(str(self._picture), canvas_only=False, flash=False)
        except OSError as error:
            self.failure = f"{self._picture} cannot be written: {error}"
        self._viewer.close()

    def _fail(self, reason: str) -> None:
        self.failure = reason
        if self._picture is not None:
            self._viewer.close()

    def _on_time_over(self) -> None:
        if self.failure:
            self._fail("no prediction came")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="napari-unet demo",
        description="Open napari with a real image stack, a prediction in place and "
        "the plugin docked, ready to paint.",
    )
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FILE",
        help="save a picture of the window as PNG and close",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
