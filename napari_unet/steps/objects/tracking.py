"""Objects of a time series are followed from frame to frame, and saved as tracks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QWidget

from napari_unet.jobs.tracking import follow_objects, save_tracks
from napari_unet.results.tracks import show_tracks, tracks_of
from napari_unet.steps.objects.file_dialog import choose_track_file
from napari_unet.viewer.files import folder_of
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.tooltips import enable
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_unet.jobs.tracking import FoundTracks
    from napari_unet.results.objects import ObjectsView

    class Launch(Protocol):
        """How the section runs something in a thread."""

        def __call__(
            self,
            target: Callable[..., Any],
            *,
            layer: Any,
            on_events: Callable[[list[Any]], None],
            on_result: Callable[[Any], None],
        ) -> None: ...


_NO_TRACKS = "There are no tracks yet: follow the objects first."
_OLD = "The objects were changed since then: follow them again."


class TrackingTools(QWidget):
    """Buttons that follow objects and save their tracks; hidden without frames.

    Parameters
    ----------
    viewer
        Gets the tracks as layers.
    launch
        Runs something in a thread, behind the progress of the section.
    on_steps
        Shows how far that is.
    report
        Shows in a line what was done.

    Attributes
    ----------
    link, save
        The buttons.
    text
        How many tracks there are.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        launch: Launch,
        on_steps: Callable[[list[Any]], None],
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._viewer, self._launch, self._on_steps = viewer, launch, on_steps
        self._report = report
        self._source: Any = None
        self._objects: ObjectsView | None = None
        self.link = button(
            "Follow over time",
            "Find out which objects of neighbouring frames are the same: those that "
            "overlap. Divisions are found, too.",
            self.start,
        )
        self.save = button(
            "Save tracks…",
            "Write the tracks as a folder of the Cell Tracking Challenge, as GEFF, as "
            "an image of their numbers or as a table.",
            self.choose_file,
        )
        self.text = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide((self.link, 1), (self.save, 1)))
        layout.addWidget(self.text)
        self.hide()

    def follow(self, source: Any, objects: ObjectsView | None, busy: str = "") -> None:
        """Take the objects of the chosen image.

        Parameters
        ----------
        source
            The image layer.
        objects
            Of it; None where there are none.
        busy
            Why nothing can be started now; empty when it can.
        """
        self._source, self._objects = source, objects
        self.setVisible(objects is not None and _has_frames(objects))
        view = tracks_of(self._viewer, source)
        enable(self.link, busy)
        enable(self.save, busy if view is not None else _NO_TRACKS)
        text = ""
        if view is not None:
            text = _describe(view.found)
            if view.outdated:
                text = f"{text} {_OLD}"
        self.text.setText(text)

    def outdate(self, source: Any) -> None:
        """Note that the objects of an image are other ones now."""
        view = tracks_of(self._viewer, source)
        if view is not None:
            view.outdated = True

    def start(self) -> None:
        """Follow the objects of the chosen image."""
        objects = self._objects
        if objects is None:
            return
        try:
            # What is corrected meanwhile is followed the next time.
            ids = objects.ids.copy()
        except EngineError as error:
            show_warning(str(error))
            return
        self._launch(
            partial(follow_objects, ids, objects.ndim),
            layer=self._source,
            on_events=self._on_steps,
            on_result=partial(self._on_result, self._source, objects, objects.edits),
        )

    def _on_result(
        self, source: Any, objects: ObjectsView, edits: int, found: FoundTracks | None
    ) -> None:
        if found is None or objects.layer not in self._viewer.layers:
            self._report("Stopped. Nothing was changed.")
            return
        self._report("")
        view = show_tracks(self._viewer, source, objects, found)
        view.outdated = objects.edits != edits

    def choose_file(self) -> None:
        """Let the user choose a place and a format, and write the tracks there."""
        if self._source is not None:
            name = Path(self._source.name).stem
            choose_track_file(self, name, folder_of(self._source), self.save_as)

    def save_as(self, path: str) -> None:
        """Write the tracks in the format of the suffix, whole or not at all."""
        view, objects = tracks_of(self._viewer, self._source), self._objects
        if view is None or objects is None:
            return
        try:
            image = objects.named_image
        except EngineError as error:
            show_warning(str(error))
            return
        self._launch(
            partial(save_tracks, path, view.found, image),
            layer=None,
            on_events=self._on_steps,
            on_result=self._on_saved,
        )

    def _on_saved(self, path: str | None) -> None:
        if path is None:
            self._report("Stopped. Nothing was written.")
            return
        self._report(f"Saved {Path(path).name}.")
        show_info(f"Saved {path}.")


def _has_frames(objects: ObjectsView) -> bool:
    """Whether the only axis beside those of an object is time."""
    leading = objects.working_image.layout.leading
    frames = objects.working_image.mask.shape[0] if leading else 0
    return leading == "TZ"[: objects.ndim - 1] and frames > 1


def _describe(found: FoundTracks) -> str:
    tracks = found.tracks
    count, divisions = tracks.count, len(tracks.divisions)
    what = "track" if count == 1 else "tracks"
    parted = f", {divisions} division{'s' * (divisions != 1)}" if divisions else ""
    return f"{count:,} {what} in {tracks.length} frames{parted}."
