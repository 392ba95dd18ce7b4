"""``ReportButton``: writes a report of the list of images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.reporting import ReportOrder, report_run
from napari_unet.widgets.buttons import button
from napari_unet.widgets.pdf import write_pdf
from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable, whole_file

if TYPE_CHECKING:
    from napari_unet.state.workspace import Workspace
    from unet_engine.project_report.contents import ReportDone

_FILES = "Page for browsers (*.html);;PDF (*.pdf)"
_TOOLTIP = (
    "Write a page about this list: images, classes, strokes, model, scores, settings, "
    "pictures, and a methods paragraph for a paper."
)


class ReportButton(QObject):
    """Asks for a file, gathers the report in a thread and writes it.

    Parameters
    ----------
    workspace
        Has the list and the models.
    parent
        Of the dialog.

    Attributes
    ----------
    button
        Starts it, and stops it while it runs.
    message
        How far it is, and where the report is.
    """

    message = Signal(str)

    def __init__(self, workspace: Workspace, parent: QWidget) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._window = parent
        self._job: Job | None = None
        self.button = button("Report…", _TOOLTIP, self._on_clicked)

    @property
    def running(self) -> bool:
        """Whether a report is being made."""
        return self._job is not None

    def show_state(self) -> None:
        """Show the button where there is a list with images."""
        images = self._workspace.listed.images
        self.button.setVisible(bool(images is not None and len(images)))
        self.button.setText("Stop report" if self.running else "Report…")

    def write_to(self, path: Path) -> None:
        """Write a report; what is there was confirmed to be replaced.

        Parameters
        ----------
        path
            With the suffix .pdf for a PDF, else a page for browsers.
        """
        workspace = self._workspace
        images = workspace.listed.images
        if images is None or self._job is not None:
            return
        if path.suffix.lower() not in (".html", ".htm", ".pdf"):
            path = path.with_name(f"{path.name}.html")
        try:
            check_writable(path)
        except DataError as error:
            self.message.emit(f"Report: {error}")
            return
        order = ReportOrder(
            images=images,
            store=workspace.store,
            device=workspace.device,
            object_size=workspace.object_size,
        )
        self._job = run(
            partial(report_run, order),
            parent=self,
            on_events=self._on_events,
            on_result=partial(self._on_page, path),
            on_error=lambda error: self.message.emit(
                f"Report: {describe_error(error)}"
            ),
            on_finished=self._on_finished,
        )
        self.show_state()
        self.message.emit("Report: looking at images and strokes…")

    def _on_clicked(self) -> None:
        if self._job is not None:
            self._job.stop()
            return
        images = self._workspace.listed.images
        if images is None:
            return
        start = images.path.with_name(f"{images.name}-report.html")
        name, _ = QFileDialog.getSaveFileName(
            self._window, "Write a report", str(start), _FILES
        )
        if name:
            self.write_to(Path(name))

    def _on_events(self, events: list[ReportDone]) -> None:
        last = events[-1]
        self.message.emit(f"Report: {last.what}, {last.done} of {last.total}…")

    def _on_page(self, path: Path, page: str) -> None:
        if self._job is not None and self._job.stopping:
            self.message.emit("Report: stopped, nothing was written.")
            return
        try:
            if path.suffix.lower() == ".pdf":
                write_pdf(path, page)
            else:
                with whole_file(path) as temporary:
                    temporary.write_text(page, encoding="utf-8")
        except DataError as error:
            self.message.emit(f"Report: {error}")
            return
        self.message.emit(f"Report written: {path}")

    def _on_finished(self) -> None:
        self._job = None
        self.show_state()
