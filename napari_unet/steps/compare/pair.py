"""Which two masks are compared: two boxes of choices, and what their values are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_unet.results.compared_masks import check_pair, find_masks
from napari_unet.viewer.visibility import leading_index
from napari_unet.widgets.forms import TextLine, add_row, column, rows
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.compared_masks import ComparedMask, ValueKind
    from napari_unet.results.masks import Masks

_FIRST = (
    "The mask that is looked at: of the dock, the one before it, or a Labels layer."
)
_SECOND = (
    "What it is compared with: a ground truth that was opened as Labels, the mask of "
    "another model, the mask before, or a layer of objects. Labels that napari opened "
    "as an image: right-click the layer, Convert to Labels."
)
_VALUES = (
    "What the numbers in Labels layers are: classes, or one number for each object. "
    "auto: objects where numbers are many."
)
_NOTHING = "Predict a mask, or open one as a Labels layer, to have one to compare."
_ONE = (
    "There is one mask so far. Open a ground truth as a Labels layer, or predict with "
    "another model: the mask before stays at hand."
)
AUTO, CLASSES, OBJECTS = "auto", "classes", "objects"


class PairChoice(QWidget):
    """Two boxes with all masks, one with the kinds of values, and a line.

    Parameters
    ----------
    viewer, masks
        Whose masks are offered.

    Attributes
    ----------
    changed
        Other masks are chosen, or other kinds of values.
    why_not
        Why nothing can be compared; empty when it can.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, masks: Masks) -> None:
        super().__init__()
        self._viewer, self._masks = viewer, masks
        self._offered: list[ComparedMask] = []
        self.first, self.second, self.values = QComboBox(), QComboBox(), QComboBox()
        self.values.addItems([AUTO, CLASSES, OBJECTS])
        self.text = TextLine()
        self.why_not = _NOTHING
        form = rows()
        add_row(form, "Mask", self.first, _FIRST)
        add_row(form, "Compare with", self.second, _SECOND)
        add_row(form, "Label values", self.values, _VALUES)
        form.addRow(self.text)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        for box in (self.first, self.second, self.values):
            box.currentIndexChanged.connect(lambda _: self._on_chosen())
        self.reset_choices()

    def reset_choices(self) -> None:
        """Offer the masks that there are now; what was chosen stays so."""
        before = [_key(self._at(box)) for box in (self.first, self.second)]
        if before[0] == before[1]:
            # There was one mask only: nobody has chosen.
            before[1] = None
        known = [(_key(mask), mask.name) for mask in self._offered]
        self._offered = find_masks(self._viewer, self._masks)
        keys = [_key(mask) for mask in self._offered]
        if known == [(_key(mask), mask.name) for mask in self._offered] and keys:
            # Scales may have changed; what is compared has not.
            self._show_state()
            return
        names = [mask.name for mask in self._offered]
        for box, wanted in zip((self.first, self.second), before, strict=True):
            others = [at for at in range(len(keys)) if at != self.first.currentIndex()]
            default = others[0] if box is self.second and others else 0
            at = keys.index(wanted) if wanted in keys else min(default, len(keys) - 1)
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            box.setCurrentIndex(at)
            box.setEnabled(bool(keys))
            box.blockSignals(False)
        self._on_chosen()

    @property
    def pair(self) -> tuple[ComparedMask, ComparedMask] | None:
        """The two masks; None when they cannot be compared."""
        first, second = self._at(self.first), self._at(self.second)
        if first is None or second is None or self.why_not:
            return None
        return first, second

    def kinds(self) -> tuple[ValueKind, ValueKind]:
        """Return what the values of both are, by those on screen if nobody stated it.

        The mask of the dock has classes, and a layer of objects has objects.
        """
        assert self.pair is not None
        leading = leading_index(self._viewer, self.pair[0].layer)
        index = self.pair[0].squeeze(leading)
        stated = self.values.currentText()
        first, second = (
            mask.kind(index)
            if stated == AUTO or mask.objects or mask.view is not None
            else ("objects" if stated == OBJECTS else "classes")
            for mask in self.pair
        )
        return first, second

    def _at(self, box: QComboBox) -> ComparedMask | None:
        at = box.currentIndex()
        return self._offered[at] if 0 <= at < len(self._offered) else None

    def _on_chosen(self) -> None:
        self._show_state()
        self.changed.emit()

    def _show_state(self) -> None:
        first, second = self._at(self.first), self._at(self.second)
        note = ""
        if first is None or second is None:
            self.why_not = _NOTHING
        elif _key(first) == _key(second):
            self.why_not = _ONE if len(self._offered) == 1 else "Choose two masks."
        else:
            try:
                note = check_pair(first, second)
                self.why_not = ""
            except DataError as error:
                self.why_not = f"{error}."
        self.text.setText(self.why_not or note)


def _key(mask: ComparedMask | None) -> tuple[Any, bool] | None:
    return None if mask is None else (mask.layer, mask.earlier)
