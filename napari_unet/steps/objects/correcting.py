"""Tools that correct objects: split, merge, delete, add."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton, QWidget

from napari_unet.viewer.conversion import mask_indices
from napari_unet.viewer.drawn_line import DrawnLine
from napari_unet.widgets.buttons import NarrowButton, SideBySide
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_unet.results.objects import ObjectsView

Tool = Literal["split", "merge", "delete", "add"]


@dataclass(frozen=True, slots=True)
class _About:
    """What is shown of a tool: its button, key, and sentences."""

    text: str
    key: str
    tooltip: str
    use: str
    missed: str


_TOOLS: dict[Tool, _About] = {
    "split": _About(
        "Split",
        "Shift-S",
        "Split an object with a line across it.",
        "Draw a line across an object, from one side to the other.",
        "No object was divided: draw from one side of it to the other.",
    ),
    "merge": _About(
        "Merge",
        "Shift-M",
        "Make one object of all that a line crosses.",
        "Draw a line from one object into another.",
        "Fewer than two objects lie under the line: draw from one into another.",
    ),
    "delete": _About(
        "Delete",
        "Shift-D",
        "Delete objects with a click or a line.",
        "Click an object, or draw a line over several.",
        "No object is there: click one.",
    ),
    "add": _About(
        "Add",
        "Shift-A",
        "Paint an object that is missing; begin inside one to enlarge it.",
        "Paint a missing object in one stroke. A stroke that begins inside an object "
        "enlarges it.",
        "",
    ),
}
_HOW = "{0} Ctrl+Z takes it back, {1} ends the tool."
_NO_OBJECTS = "There are no objects yet: separate them first."
_LEARNED = "Fine-tune learns from what you correct."


class CorrectingTools(QWidget):
    """A button for each tool, and what the chosen one does.

    Parameters
    ----------
    viewer
        Where objects are corrected.
    current
        Returns the objects of the chosen image, if there are some.
    """

    def __init__(
        self, viewer: ViewerModel, current: Callable[[], ObjectsView | None]
    ) -> None:
        super().__init__()
        self._viewer, self._current = viewer, current
        self._view: ObjectsView | None = None
        self._bound: Labels | None = None
        self._line = DrawnLine(viewer)
        self.tool: Tool | None = None
        self.buttons: dict[Tool, QPushButton] = {}
        for tool, about in _TOOLS.items():
            made = NarrowButton(about.text)
            made.setCheckable(True)
            key = about.key.replace("-", "+")
            explain(made, f"{about.tooltip} {_LEARNED} Key in the layer: {key}.")
            made.clicked.connect(partial(self._on_clicked, tool))
            self.buttons[tool] = made
        self.text = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide(*((b, 1) for b in self.buttons.values())))
        layout.addWidget(self.text)
        self.destroyed.connect(self._line.remove)

    def follow(self, view: ObjectsView | None, busy: str = "") -> None:
        """Offer the tools for the objects of an image; None for none.

        Parameters
        ----------
        view
            The objects.
        busy
            Why they cannot be used now; empty when they can.
        """
        if self._view is not None and (self._view is not view or busy):
            self.end()
        for made in self.buttons.values():
            enable(made, _NO_OBJECTS if view is None else busy)
        layer = None if view is None else view.layer
        if layer is not None and layer is not self._bound:
            self._bound = layer
            for tool, about in _TOOLS.items():
                layer.bind_key(about.key, _key_of(self, tool), overwrite=True)

    def start(self, tool: Tool) -> None:
        """Take a tool: what the mouse does in the layer of the objects from now on."""
        self.end()
        view = self._current()
        if view is None:
            return
        self._view, self.tool, layer = view, tool, view.layer
        layer.visible = True
        self._viewer.layers.selection.active = layer
        if tool == "add":
            layer.selected_label = view.free_id
            layer.mode = "paint"
            # Before the brush of napari, which paints with what is selected.
            layer.mouse_drag_callbacks.insert(0, self._on_brush)
        else:
            self._line.show(layer)
            layer.mode = "pan_zoom"
            layer.mouse_pan = False
            layer.mouse_drag_callbacks.append(self._on_drag)
        layer.events.mode.connect(self.end)
        self._viewer.layers.selection.events.active.connect(self._on_active)
        self._show(_TOOLS[tool].use)

    def end(self, *_: Any) -> None:
        """Put the tool away; the mouse moves the view again."""
        view, self._view = self._view, None
        tool, self.tool = self.tool, None
        if view is not None:
            layer = view.layer
            layer.events.mode.disconnect(self.end)
            self._viewer.layers.selection.events.active.disconnect(self._on_active)
            callbacks = layer.mouse_drag_callbacks
            for mine in (self._on_drag, self._on_brush):
                if mine in callbacks:
                    callbacks.remove(mine)
            if tool == "add":
                layer.mode = "pan_zoom"
            layer.mouse_pan = layer.mode == "pan_zoom"
            self._line.remove()
        self._show("")

    def _show(self, sentence: str) -> None:
        for tool, made in self.buttons.items():
            made.setChecked(tool == self.tool)
        if self.tool is not None:
            key = _TOOLS[self.tool].key.replace("-", "+")
            sentence = _HOW.format(sentence, key)
        self.text.setText(sentence)

    def _on_clicked(self, tool: Tool) -> None:
        if self.tool == tool:
            self.end()
        else:
            self.start(tool)

    def press(self, tool: Tool) -> None:
        """Do as if the button of a tool was pressed."""
        if self.buttons[tool].isEnabled():
            self._on_clicked(tool)

    def _on_active(self, event: Any) -> None:
        if self._view is not None and event.value is not self._view.layer:
            self.end()

    def _on_brush(self, layer: Labels, event: Any) -> None:
        view = self._view
        if view is not None and event.button == 1:
            here = layer.get_value(event.position, world=True)
            layer.selected_label = int(here) if here else view.free_id

    def _on_drag(self, layer: Labels, event: Any) -> Iterator[None]:
        # The layer outlives the dock.
        if not isalive(self) or event.button != 1 or self._viewer.dims.ndisplay != 2:
            return
        points = [np.asarray(layer.world_to_data(event.position))]
        yield
        while event.type == "mouse_move":
            points.append(np.asarray(layer.world_to_data(event.position)))
            self._line.draw(points)
            yield
        # napari still works on the layer.
        QTimer.singleShot(0, partial(self._finish, points))

    def _finish(self, points: list[Any]) -> None:
        view, tool = self._view, self.tool
        self._line.clear()
        if view is None or tool is None or tool == "add":
            return
        layout = view.working_image.layout
        places = np.array([mask_indices(point, layout) for point in points])
        index = tuple(round(float(at)) for at in places[0][:-2])
        about = _TOOLS[tool]
        try:
            made = view.edit(tool, index, places[:, -2:])
        except EngineError as error:
            self._show(str(error))
            return
        self._show(about.use if made else about.missed)


def _key_of(tools: CorrectingTools, tool: Tool) -> Callable[[Any], None]:
    """Return what a key of a layer does, which outlives the tools."""
    weak = ref(tools)

    def press(_: Any) -> None:
        """Take a tool that corrects objects, or put it away."""
        tools = weak()
        if tools is not None and isalive(tools):
            tools.press(tool)

    return press
