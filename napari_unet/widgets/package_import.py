"""Packages of bioimage.io that are added to the models, one after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.package_import import Imported, package_run
from unet_engine.errors import UntrustedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unet_engine.models.store import ModelStore

SUFFIX = ".zip"
"""Of a package."""

_QUESTION = (
    "Run the program in {0}?\n\n{1}\n\nIts network is TorchScript, a program that "
    "could read and change your files. It is run once, to make ONNX of it, which is "
    "data. Answer Yes only if you trust who made it."
)


class PackageImport(QObject):
    """Adds packages in a thread, and asks before a program in one of them is run.

    Signals
    -------
    reading
        The name of the file that is read now.
    added
        The ``ModelInfo`` of the model of a package, which may have been there already,
        and a sentence on it.
    failed
        The path of a package, and why it was not added.
    """

    reading = Signal(str)
    added = Signal(object, str)
    failed = Signal(Path, str)

    def __init__(self, store: ModelStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        self._window = parent
        self._waiting: list[Path] = []
        self._job: Job | None = None
        self._untrusted: tuple[Path, UntrustedError] | None = None

    def start(self, paths: Iterable[Path]) -> None:
        """Add packages after those that are waiting."""
        self._waiting += paths
        if self._job is None:
            self._next()

    def _next(self) -> None:
        if self._waiting:
            self._read(self._waiting.pop(0))

    def _read(self, path: Path, *, trust: bool = False) -> None:
        self.reading.emit(path.name)
        self._job = run(
            partial(package_run, self._store, path, trust=trust),
            parent=self,
            on_result=self._on_result,
            on_error=partial(self._on_error, path),
            on_finished=self._on_finished,
        )

    def _on_result(self, imported: Imported) -> None:
        self.added.emit(imported.model, imported.sentence)

    def _on_error(self, path: Path, error: Exception) -> None:
        if isinstance(error, UntrustedError):
            # Asked when the job has ended, which would go on behind the question.
            self._untrusted = (path, error)
        else:
            self.failed.emit(path, describe_error(error))

    def _is_trusted(self, path: Path, error: UntrustedError) -> bool:
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            "Do you trust this package?",
            _QUESTION.format(path.name, error.source),
            buttons.Yes | buttons.No,
            buttons.No,
        )
        return bool(answer == buttons.Yes)

    def _on_finished(self) -> None:
        self._job = None
        untrusted, self._untrusted = self._untrusted, None
        if untrusted is None:
            self._next()
        elif self._is_trusted(*untrusted):
            self._read(untrusted[0], trust=True)
        else:
            self.failed.emit(untrusted[0], "its program is not trusted")
            self._next()
