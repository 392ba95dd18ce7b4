"""Every section, window and state of the dock, for looking at: no page shows these.

``python docs/pictures --states FOLDER`` runs it once for each scale of the screen. A
picture is FOLDER/STATE-SIZE-THEME.png; SIZE is that of the window in pixels, or "dock"
for the dock alone, 330 by 720.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QWidget
from window import Window

from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = ((1280, 720), (1440, 900))
"""Width and height of the window in pixels."""
DOCK = (330, 720)
"""Width and height of the dock where it is drawn alone."""
THEMES = ("dark", "light")
IMAGES = 5
_STROKES = {1: [(19, 38), (20, 52)], 0: [(90, 20), (96, 60)]}
"""Corners of a stroke of each class, row and column in pixels."""


class States(Window):
    """A window that is drawn in every size and theme."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None)
        self._folder = folder
        self._scale = "" if os.environ.get("QT_SCALE_FACTOR", "1") == "1" else "-200"

    def draw(self, state: str, *shown: QWidget) -> None:
        """Draw the window in every size and theme, or only windows of its own."""
        for theme in THEMES:
            self.viewer.theme = theme
            for part in shown:
                self._write(part, f"{state}-{theme}")
            if not shown:
                self._draw_sizes(state, theme)

    def _draw_sizes(self, state: str, theme: str) -> None:
        beside = self.frame.height() - self.dock.height()
        for size in (*SIZES, None):
            width, height = size or (SIZES[0][0], DOCK[1] + beside)
            self.frame.resize(width, height)
            self._narrow()
            self._close_notes()
            name = "dock" if size is None else f"{width}x{height}"
            part = self.dock if size is None else self.frame
            self._write(part, f"{state}-{name}-{theme}")

    def _narrow(self) -> None:
        dock: Any = self.dock
        while not isinstance(dock, QDockWidget):
            dock = dock.parentWidget()
        self.frame.resizeDocks([dock], [DOCK[0]], Qt.Orientation.Horizontal)

    def _write(self, part: QWidget, name: str) -> None:
        self.settle(300)
        part.grab().save(str(self._folder / f"{name}{self._scale}.png"))

    def scroll_to(self, section: QWidget) -> None:
        """Show a section from its top."""
        self.settle(100)
        self.dock._scroll_to(section)
        self.settle(100)

    @contextmanager
    def unfolded(self, section: Any) -> Iterator[None]:
        """Unfold a section for a while."""
        section.expand()
        self.scroll_to(section)
        yield
        section._bar.click()
        self.settle()


def main(folder: Path, work: Path) -> None:
    """Draw all states.

    Parameters
    ----------
    folder
        Gets the pictures.
    work
        Gets the images that are worked on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = _write_images(work)
    window = States(folder)
    _draw_begin(window, paths[0])
    _draw_painting(window)
    _draw_training(window)
    _draw_objects(window)
    _draw_images(window, work)
    _draw_windows(window, work)
    window.close()


def _write_images(work: Path) -> list[Path]:
    paths = []
    for number in range(IMAGES):
        image, _ = nuclei((256, 256), seed=number)
        paths.append(work / f"field_{number:02d}.tif")
        tifffile.imwrite(paths[-1], image)
    (work / "field_09.tif").write_bytes(b"not an image")
    return paths


def _draw_begin(window: States, image: Path) -> None:
    window.draw("01-empty")
    dock = window.dock
    window.viewer.open(str(image))
    window.until(lambda: bool(dock.proposals.buttons) and not dock.proposals.running)
    window.viewer.reset_view()
    window.draw("02-image-open")
    dock.proposals.buttons[0].click()
    window.settle()
    window.wait()
    window.draw("03-predicted")
    with window.unfolded(dock.predict.form.advanced):
        window.draw("04-predict-advanced")


def _draw_painting(window: States) -> None:
    dock = window.dock
    dock.live.switch.value = True
    for label, stroke in _STROKES.items():
        dock.correct.choose_class(label)
        window.paint(stroke)
    window.wait_for_text(f"Live: {len(_STROKES)} strokes")
    window.scroll_to(dock.correct)
    window.draw("05-painting-live")
    window.press("Show touched pixels")
    window.draw("06-touched")
    window.press("Show touched pixels")
    dock.live.switch.value = False


def _draw_training(window: States) -> None:
    fine_tune = window.dock.fine_tune
    with window.unfolded(fine_tune.advanced):
        window.draw("07-training-advanced")
    form = fine_tune.settings
    form["steps"].value, form["crop"].value, form["batch"].value = 60, 64, 1
    window.scroll_to(fine_tune)
    fine_tune.train.click()
    window.until(lambda: "step" in fine_tune.text.text().lower())
    window.settle(3000)
    window.draw("08-training")
    window.wait()
    window.scroll_to(fine_tune)
    window.draw("09-trained")


def _draw_objects(window: States) -> None:
    dock = window.dock
    dock.open_objects()
    window.settle()
    window.draw("10-objects-before")
    dock.objects.separate.click()
    window.settle()
    window.wait()
    window.draw("11-objects")
    dock.objects.table.click()
    window.settle()
    window.draw("12-objects-table")
    dock.objects.table.click()
    with window.unfolded(dock.compare):
        window.draw("13-compare")
        dock.compare.shown.differences.click()
        dock.compare.scores.start.click()
        window.until(lambda: not dock.compare.scores.running)
        window.scroll_to(dock.compare)
        window.draw("14-compare-scores")
        dock.compare.shown.differences.click()
    dock.open_pretraining()
    window.settle()
    window.draw("15-pretrain")
    dock.pretrain.close_button.click()


def _draw_images(window: States, work: Path) -> None:
    images = window.dock.images
    images.add_paths([work])
    window.until(lambda: not images.busy and len(images.listed.entries) > IMAGES - 1)
    images.section.expand()
    window.scroll_to(images.section)
    images.accept()
    window.until(lambda: not images.busy)
    window.draw("16-images")
    images.reporting.write_to(work / "report.html")
    window.until(lambda: not images.busy)
    window.draw("17-report")


def _draw_windows(window: States, work: Path) -> None:
    dock = window.dock
    models = dock.manage_models()
    window.settle(2000)
    window.draw("18-models", models)
    models.close()
    new = dock.new_model()
    window.settle()
    window.draw("19-new-model", new)
    new.close()
    batch = dock.open_batch()
    window.settle()
    window.draw("20-batch", batch)
    batch.form.choose_out(work / "results")
    batch.form.choose_folder(work)
    batch.start_button.click()
    window.settle(2500)
    window.draw("21-batch-running", batch)
    window.until(lambda: not batch.running)
    window.settle(2000)
    window.draw("22-batch-done", batch)
    batch.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
