"""Pixels that were painted with two classes: how many, and a button that goes there."""

from __future__ import annotations

from itertools import chain, dropwhile
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget
from scipy import ndimage

from napari_unet.viewer.conversion import leading_of
from napari_unet.viewer.place_frame import PlaceFrame
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.places import Index, Region

_SHOW = (
    "Go to where strokes contradict each other; press again for the next such place. "
    "The class that was painted last counts. Clear what is wrong, or paint it again."
)
_NEAR = 8
"""Pixels between two parts of one place: a brush that went over an edge leaves many."""


class Contradictions(QWidget):
    """Names how many pixels got two classes, and goes to them one by one.

    Parameters
    ----------
    workspace, masks
        What is worked on, and its masks.
    """

    def __init__(self, workspace: Workspace, masks: Masks) -> None:
        super().__init__()
        self._masks = masks
        self._last: tuple[Index, Region] | None = None
        self._frame = PlaceFrame(masks.viewer, "contradiction", self)
        self.text = TextLine()
        self.go = button("Go there", _SHOW, self.go_to_next)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide((self.text, 1), (self.go, 0)))
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.touched_changed,
        ):
            signal.connect(self._show_state)
        self._show_state()

    def _show_state(self) -> None:
        view = self._masks.current
        count = 0 if view is None else view.working_image.annotations.conflicts
        self.setVisible(bool(count))
        self.text.setText(
            f"{count:,} px painted with two classes, the last counts" if count else ""
        )

    def go_to_next(self) -> None:
        """Go to the place after the one that was shown last, or to the first."""
        view = self._masks.current
        if view is None:
            return
        places = contradicted_places(view.working_image.annotations)
        first = next(places, None)
        if first is None:
            return
        every = chain([first], places)
        # Behind the last one; the first one, where that is gone or was the end.
        following = dropwhile(lambda place: place != self._last, every)
        next(following, None)
        self._last = next(following, first)
        index, region = self._last
        leading = leading_of(index, view.working_image.layout)
        self._frame.show(view.layer, leading, region)


def contradicted_places(annotations: Annotations) -> Iterator[tuple[Index, Region]]:
    """Yield the planes, rows and columns in which pixels got two classes."""
    for index in annotations.planes():
        for block in annotations.regions(index):
            found = annotations.contradicted(index, block)
            near = ndimage.binary_dilation(found, iterations=_NEAR // 2)
            parts, count = ndimage.label(near)
            for box in ndimage.find_objects(parts * found, count):
                if box is not None:
                    top, left = (part.start for part in block)
                    rows, columns = box
                    yield (
                        index,
                        (
                            slice(top + rows.start, top + rows.stop),
                            slice(left + columns.start, left + columns.stop),
                        ),
                    )
