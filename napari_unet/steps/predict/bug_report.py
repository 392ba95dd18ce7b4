"""The report for a bug, made in a thread and put into the clipboard."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from napari.utils import sys_info
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_unet.jobs.job import Job, describe_error, run
from unet_engine.doctor.report import iter_findings, summary, text_of, without_home

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.devices import Device
    from unet_engine.doctor.finding import Finding


class BugReport(QObject):
    """Looks at the installation, tests it and copies what it found.

    Parameters
    ----------
    parent
        Whose report it is.
    device
        Returns the device that is chosen, which is tested.

    Signals
    -------
    busy
        Whether a report is being made.
    """

    busy = Signal(bool)

    def __init__(self, parent: QObject, device: Callable[[], Device]) -> None:
        super().__init__(parent)
        self._device = device
        self._job: Job | None = None

    def start(self) -> None:
        """Begin, if no report is being made."""
        if self._job is not None:
            return
        device = self._device()
        place = "" if device == "auto" else f" on {device}"
        show_info(
            f"Testing prediction, Live and training{place} on a generated image, some "
            "ten seconds. The report goes to the clipboard then."
        )
        self.busy.emit(True)
        self._job = run(
            partial(iter_findings, device=device),
            parent=self,
            on_result=self._copy,
            on_error=lambda error: show_error(describe_error(error)),
            on_finished=self._on_finished,
        )

    def _on_finished(self) -> None:
        self._job = None
        self.busy.emit(False)

    def _copy(self, findings: Sequence[Finding]) -> None:
        QApplication.clipboard().setText(f"{text_of(findings)}\n\n{_of_window()}\n")
        line = f"The report is in the clipboard. {summary(findings)}"
        broken = [found for found in findings if found.state == "broken"]
        if not broken:
            show_info(f"{line} Paste it into your bug report.")
            return
        first = broken[0]
        advice = f" What to do: {first.advice}." if first.advice else ""
        show_warning(f"{line} {first.text}.{advice}")


def _of_window() -> str:
    """Return what napari knows of itself, Qt, OpenGL, the screens and its plugins."""
    text = str(sys_info())
    # The colours are for a terminal.
    return without_home(re.sub(r"\x1b\[[0-9;]*m", "", text))
