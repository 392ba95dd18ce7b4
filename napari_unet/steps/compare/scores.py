"""Scores of a mask against another one, and the places where they differ most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QListWidget,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_unet.jobs.comparison import ComparisonOrder, comparison_run
from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.results.objects import ObjectLayers
from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.place_frame import PlaceFrame
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.keys import key_text, with_key
from napari_unet.widgets.tooltips import enable, show_key

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.compared_masks import ComparedMask
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.compare.pair import PairChoice
    from unet_engine.metrics.comparison import (
        BlockCompared,
        ClassScores,
        Comparison,
        WorstPlace,
    )

    Pair = tuple[ComparedMask, ComparedMask]

_TOOLTIP = (
    "Take the second mask for the truth and score the first one against it: IoU and "
    "Dice of each class, or of objects what is missed, extra, merged and split. "
    "Nothing is learned from it."
)
_LIST = (
    "Where both differ most, the worst first. Click one to go there, or press Next "
    "worst."
)
_MOST_ROWS = 6
"""Rows of the table that show without scrolling."""
_LIST_HEIGHT = 96
"""Pixels of the list: five lines and a half, so that more are expected."""
_NEXT = "Go to the next place where both differ most, the worst first."
_RUNNING = "the masks are being compared."
_CHANGED = "The masks have changed since: press Scores anew."


class ScoresPanel(QWidget):
    """A button, a table, a line on objects, and a list of places.

    Parameters
    ----------
    viewer
        Whose camera goes to a place.
    workspace
        What is worked on.
    choice
        Has the masks.

    Attributes
    ----------
    done
        Scores were computed.
    """

    done = Signal()

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, choice: PairChoice
    ) -> None:
        super().__init__()
        self._viewer, self._workspace, self._choice = viewer, workspace, choice
        self._job: Job | None = None
        self._pair: Pair | None = None
        self._places: tuple[WorstPlace, ...] = ()
        self._frame = PlaceFrame(viewer, "worst place", self)
        self.start = button("Scores", _TOOLTIP, self.compute)
        self.next = button("Next worst", _NEXT, self.go_to_next)
        self.text = TextLine()
        self._make_table()
        self.list = QListWidget()
        self.list.setFixedHeight(_LIST_HEIGHT)
        self.list.setToolTip(_LIST)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.itemClicked.connect(lambda item: self._go(self.list.row(item)))
        self.list.itemActivated.connect(lambda item: self._go(self.list.row(item)))
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide((self.start, 1), (self.next, 1)))
        for part in (self.table, self.text, self.list):
            layout.addWidget(part)
        choice.changed.connect(self._on_choice_changed)
        workspace.touched_changed.connect(self._on_mask_changed)
        workspace.activity_changed.connect(self._on_mask_changed)
        self._clear()

    def _make_table(self) -> None:
        self.table = table = QTableWidget(0, 4)
        table.setHorizontalHeaderLabels(["", "IoU", "Dice", "true px"])
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.setToolTip(
            "IoU: pixels that both have over pixels that any of both has. Dice: twice "
            "what both have over the sum of both. 1 is the best."
        )

    @property
    def running(self) -> bool:
        """Whether scores are being computed."""
        return self._job is not None

    def compute(self) -> None:
        """Score the first mask against the second."""
        pair = self._choice.pair
        if pair is None or self._job is not None:
            return
        self._clear()
        self.text.setText("Scores: comparing…")
        first, second = self._choice.kinds()
        order = ComparisonOrder(
            truth=pair[1].data,
            predicted=pair[0].data,
            kinds=(second, first),
            names=pair[0].names or pair[1].names,
            ndim=self._ndim(pair),
        )
        self._job = run(
            partial(comparison_run, order),
            parent=self,
            on_events=self._on_events,
            on_result=partial(self._on_result, pair, order.names),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )
        self.show_state()

    def go_to_next(self) -> None:
        """Go to the next place where two compared masks differ most."""
        if self._places:
            self._go((self.list.currentRow() + 1) % len(self._places))

    def end(self) -> None:
        """Stop, and forget what was computed."""
        self._clear()

    def _ndim(self, pair: Pair) -> int:
        """Return the axes that an object extends along."""
        views = of_viewer(self._viewer, ObjectLayers).views.values()
        for mask in pair:
            known = next((v.ndim for v in views if v.layer is mask.layer), None)
            if known is not None:
                return min(known, len(mask.shape))
        volume = any(
            mask.view is not None and mask.view.working_image.layout.leading[-1:] == "Z"
            for mask in pair
        )
        return 3 if volume and len(pair[0].shape) > 2 else 2

    def _on_events(self, events: list[BlockCompared]) -> None:
        last = events[-1]
        self.text.setText(f"Scores: {last.done:,} of {last.total:,} parts compared…")

    def _on_result(self, pair: Pair, names: tuple[str, ...], found: Comparison) -> None:
        self._pair, self._places = pair, found.worst
        self._fill(found.classes)
        self.text.setText(_describe(found))
        for number, place in enumerate(found.worst, start=1):
            where = f"slice {', '.join(map(str, place.index))}: " if place.index else ""
            self.list.addItem(f"{number}. {where}{place.describe(names)}")
            self.list.item(number - 1).setToolTip(self.list.item(number - 1).text())
        self.show_state()
        self.done.emit()

    def _fill(self, classes: tuple[ClassScores, ...]) -> None:
        self.table.setRowCount(len(classes))
        for row, one in enumerate(classes):
            cells = (
                one.name,
                _score(one.iou),
                _score(one.dice),
                f"{one.true_pixels:,}",
            )
            for column_, text in enumerate(cells):
                item = QTableWidgetItem(text)
                side = Qt.AlignmentFlag.AlignRight
                if column_ == 0:
                    side = Qt.AlignmentFlag.AlignLeft
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                item.setToolTip(f"{one.name}: {one.predicted_pixels:,} px predicted")
                self.table.setItem(row, column_, item)
        height = self.table.horizontalHeader().sizeHint().height() + 4
        shown = range(min(len(classes), _MOST_ROWS))
        height += sum(self.table.rowHeight(row) for row in shown)
        self.table.setFixedHeight(height)

    def _on_error(self, error: Exception) -> None:
        self.text.setText(f"Scores: {describe_error(error)}")

    def _on_finished(self) -> None:
        self._job = None
        self.show_state()

    def _on_choice_changed(self) -> None:
        pair = self._choice.pair
        known = self._pair
        if known is not None and (
            pair is None or [m.layer for m in pair] != [m.layer for m in known]
        ):
            self._clear()
        self.show_state()

    def _on_mask_changed(self) -> None:
        if self._pair is not None and _CHANGED not in self.text.text():
            self.text.setText(f"{self.text.text()} {_CHANGED}".strip())

    def _clear(self) -> None:
        if self._job is not None:
            self._job.discard()
        self._pair, self._places = None, ()
        self._frame.remove()
        self.text.setText("")
        self.table.setRowCount(0)
        self.list.clear()
        self.show_state()

    def show_state(self) -> None:
        """Show what there is, and what can be done."""
        running = _RUNNING if self._job is not None else ""
        enable(self.start, self._choice.why_not or running)
        self.next.setText(with_key("Next worst", "next_worst"))
        show_key(self.next, key_text("next_worst"))
        self.next.setVisible(bool(self._places))
        self.list.setVisible(bool(self._places))
        self.table.setVisible(self.table.rowCount() > 0)

    def _go(self, row: int) -> None:
        pair = self._pair
        if pair is None or not 0 <= row < len(self._places):
            return
        self.list.setCurrentRow(row)
        place, first = self._places[row], pair[0]
        if first.layer in self._viewer.layers:
            leading = first.unsqueeze(place.index)
            self._frame.show(first.layer, leading, (place.rows, place.columns))


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001 - shown to people


def _describe(found: Comparison) -> str:
    """Return the scores of objects, or what there is to note of classes."""
    if found.objects is None:
        share = found.wrong_pixels / found.pixels if found.pixels else 0.0
        if not found.pixels:
            return "No pixel of the second mask is labelled: nothing was compared."
        return f"{share:.2%} of {found.pixels:,} labelled px differ."
    objects = found.objects
    mistakes = ", ".join(f"{n:,} {kind}" for kind, n in objects.mistakes.items() if n)
    return (
        f"AP at IoU 0.5: {objects.ap_50:.3f}; {objects.predicted_objects:,} objects, "
        f"{objects.true_objects:,} in the truth. {mistakes or 'No mistakes'}."
    )
