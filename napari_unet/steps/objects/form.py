"""How objects are found, as a form: method, sizes, volumes or planes, boundary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtWidgets import QLineEdit, QSpinBox, QWidget

from napari_unet.results.objects import pixel_size_um, size_note
from napari_unet.steps.objects.merging_slider import MergingSlider
from napari_unet.viewer.conversion import displayed_sizes
from napari_unet.widgets.forms import (
    Section,
    TextLine,
    add_row,
    column,
    config_form,
    rows,
    set_row_visible,
)
from unet_engine.errors import DataError
from unet_engine.objects import ObjectConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.viewer.conversion import Layout

VOLUMES, PLANES = "volumes (3-D)", "slice by slice"

_METHODS = {
    "watershed": "Splits objects that touch at their necks: for roundish ones.",
    "components": "Keeps what is connected in one piece: for long or branched ones.",
    "keep": "Finds none: measures the ids of the objects layer as they are.",
}
_SPLITS = "Splits objects along {0}, by {1}."
_SIZE_TIP = (
    "Edge of a pixel, such as 0.5, or Z, Y, X such as 2, 0.5, 0.5. Taken from the "
    "layer where it has units; empty: sizes in pixels."
)
_MODEL_SPLITS = "Splits objects that touch as the model shows them."
_AUTO = -1
"""What the box of the smallest size holds while it shows "auto"."""
_OWN_ROWS = ("method", "min_size", "fill_holes", "merging")
_NO_CLASS = "none"
_BOUNDARY_WORDS = ("bound", "border", "membrane", "edge", "contour", "outline", "wall")


@dataclass(frozen=True, slots=True)
class MaskInfo:
    """What the form needs of a mask.

    Attributes
    ----------
    source
        The image layer that it belongs to.
    layout
        What the axes of that layer mean.
    volume
        It has slices of depth that objects can go on in.
    classes
        Names of its classes, the background first.
    probabilities
        Those of all classes are on screen.
    object_maps
        Its model showed how objects are separated.
    """

    source: Any
    layout: Layout
    volume: bool
    classes: tuple[str, ...]
    probabilities: bool
    object_maps: bool = False


class SmallestSize:
    """A field for a size, which shows "auto" in place of the least value.

    The field of magicgui would show the number.

    Attributes
    ----------
    native
        The box.
    changed
        Another value was chosen.
    """

    def __init__(self) -> None:
        self.native = QSpinBox()
        self.native.setRange(_AUTO, 1_000_000)
        self.native.setValue(_AUTO)
        self.native.setSpecialValueText("auto")
        self.changed = self.native.valueChanged

    @property
    def value(self) -> int:
        """Pixels; -1 for auto."""
        return int(self.native.value())

    @value.setter
    def value(self, size: int) -> None:
        self.native.setValue(size)


class ObjectsForm(QWidget):
    """From splitting to merging, extent, boundary class, pixel size, and the rest.

    Attributes
    ----------
    settings
        The form of what few need to change.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mask: MaskInfo | None = None
        self._known: tuple[float, ...] | None = None
        self._make_choices()
        self._lay_out()
        self.method.changed.connect(self._show_state)
        self.boundary.changed.connect(self._show_state)
        self.extent.changed.connect(self._fill_pixel_size)
        self.extent.changed.connect(self._show_state)
        self._show_state()

    def _make_choices(self) -> None:
        self.settings = config_form(ObjectConfig, leave_out=_OWN_ROWS)
        self.method = ComboBox(choices=get_args(get_type_hints(ObjectConfig)["method"]))
        self.min_size = SmallestSize()
        self.fill_holes = CheckBox(value=True, text="Fill holes")
        self.merging = MergingSlider(self.settings["merging"].value)
        self.extent = ComboBox(choices=[VOLUMES, PLANES])
        self.boundary = ComboBox(choices=self._boundary_choices)
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("not known")
        self.text = TextLine()

    def _lay_out(self) -> None:
        self._rows = form = rows()
        tips = {name: self.settings[name].tooltip for name in _OWN_ROWS}
        form.addRow(self.merging)
        form.addRow(self.text)
        add_row(
            form,
            "Objects are",
            self.extent.native,
            "Volumes go on from slice to slice; or every slice has objects of its own.",
        )
        add_row(
            form,
            "Boundary",
            self.boundary.native,
            "A class that lies between objects. Where its probability is on screen, "
            "objects are split along it.",
        )
        add_row(form, "Pixel (µm)", self.pixel_size, _SIZE_TIP)
        self.fill_holes.native.setToolTip(tips["fill_holes"])
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self.advanced = Section(
            "Advanced settings", "How objects are found and split.", expanded=False
        )
        self._more_rows = more = rows()
        add_row(more, "Method", self.method.native, tips["method"])
        add_row(more, "Smallest (px)", self.min_size.native, tips["min_size"])
        self.advanced.content.addLayout(more)
        self.advanced.content.addWidget(self.fill_holes.native)
        self.advanced.content.addWidget(self.settings.native)
        layout.addWidget(self.advanced)

    @property
    def fields(self) -> dict[str, Any]:
        """The controls whose values are kept with a list of images, by name."""
        shown = {w.name: w for w in self.settings if w.name not in _OWN_ROWS}
        own = {name: getattr(self, name) for name in _OWN_ROWS}
        return {**shown, **own, "extent": self.extent}

    @property
    def config(self) -> ObjectConfig:
        """The settings of the form."""
        for name in _OWN_ROWS:
            if name != "min_size":
                self.settings[name].value = getattr(self, name).value
        config: ObjectConfig = self.settings()
        size = self.min_size.value
        return config if size == _AUTO else replace(config, min_size=size)

    @property
    def keeps(self) -> bool:
        """Whether ids are measured that are there already."""
        return bool(self.method.value == "keep")

    @property
    def ndim(self) -> int:
        """In how many dimensions an object extends."""
        volume = self._mask is not None and self._mask.volume
        return 3 if volume and self.extent.value == VOLUMES else 2

    @property
    def boundary_class(self) -> int | None:
        """The class that lies between objects, if one was chosen."""
        names = () if self._mask is None else self._mask.classes
        name = self.boundary.value
        return names.index(name) if name in names[1:] else None

    @property
    def scale(self) -> tuple[float, ...] | None:
        """Size of a pixel along the axes of an object in µm; None if not known.

        Raises
        ------
        DataError
            When what was typed is no size.
        """
        text = self.pixel_size.text().strip()
        if text == _format(self._known):
            return self._known
        return _parse(text, self.ndim)

    @property
    def stated_scale(self) -> tuple[float, ...] | None:
        """The size of a pixel that the user stated, not the image; None without one.

        Raises
        ------
        DataError
            When what was typed is no size.
        """
        text = self.pixel_size.text().strip()
        return None if text == _format(self._known) else _parse(text, self.ndim)

    @property
    def planes(self) -> bool:
        """Whether every plane of a stack along Z has objects of its own."""
        return bool(self.extent.value == PLANES)

    def boundary_of(self, classes: Sequence[str]) -> int | None:
        """Return which of the classes of a model lies between objects, if any.

        Parameters
        ----------
        classes
            Names, the background first.
        """
        name = self.boundary.value
        return list(classes).index(name) if name in classes[1:] else None

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a pixel along the axes of an object in whatever unit.

        Raises
        ------
        DataError
            As `scale`.
        """
        assert self._mask is not None
        mask = self._mask
        shown = displayed_sizes(mask.source, mask.layout)
        return self.scale or tuple(shown[axis] for axis in "ZYX"[-self.ndim :])

    def follow(self, mask: MaskInfo | None) -> None:
        """Fit the form to another mask, or to what changed of this one."""
        before, self._mask = self._mask, mask
        if mask is not None:
            if before is None or mask.classes != before.classes:
                self._fill_boundary()
            moved = before is None or mask.source is not before.source
            untouched = self.pixel_size.text() == _format(self._known)
            if moved or untouched:
                self._fill_pixel_size()
        if mask != before:
            self._show_state()

    def _boundary_choices(self, _: Any) -> list[str]:
        names = () if self._mask is None else self._mask.classes
        return [_NO_CLASS, *names[1:]]

    def _fill_boundary(self) -> None:
        self.boundary.reset_choices()
        names = [name for name in self.boundary.choices if name != _NO_CLASS]
        likely = [n for n in names if any(w in n.lower() for w in _BOUNDARY_WORDS)]
        self.boundary.value = likely[0] if likely and len(names) > 1 else _NO_CLASS

    def _fill_pixel_size(self, *_: Any) -> None:
        self._known = None
        if (mask := self._mask) is not None:
            self._known = pixel_size_um(mask.source, mask.layout, self.ndim)
            note = size_note(mask.source, mask.layout, self.ndim)
            self.pixel_size.setPlaceholderText(note or "not known")
            self.pixel_size.setToolTip(f"{note}. {_SIZE_TIP}" if note else _SIZE_TIP)
        self.pixel_size.setText(_format(self._known))

    def _show_state(self, *_: Any) -> None:
        mask = self._mask
        parts = mask is not None and len(mask.classes) > 2
        set_row_visible(
            self._rows, self.extent.native, mask is not None and mask.volume
        )
        split = self.method.value == "watershed"
        maps = mask is not None and mask.object_maps
        self.merging.setVisible(split)
        set_row_visible(self._rows, self.boundary.native, parts and not self.keeps)
        set_row_visible(self._more_rows, self.min_size.native, not self.keeps)
        self.fill_holes.native.setVisible(not self.keeps)
        boundary = self.boundary_class is not None
        for name, used in {
            "map_depth": split and maps,
            "neck_depth": split and not boundary and not maps,
            "seed_threshold": split and boundary and not maps,
            "overlap": split,
            "volumes": self.ndim == 3 and not self.keeps,
        }.items():
            self.settings[name].visible = used
        self.text.setText(self._describe())

    def _describe(self) -> str:
        line = _METHODS[self.method.value]
        if (
            self._mask is not None
            and self._mask.object_maps
            and (self.method.value == "watershed")
        ):
            return _MODEL_SPLITS
        if self.boundary_class is None or self.method.value != "watershed":
            return line
        probable = self._mask is not None and self._mask.probabilities
        return _SPLITS.format(
            self.boundary.value, "its probability" if probable else "the mask"
        )


def _format(sizes: tuple[float, ...] | None) -> str:
    if sizes is None:
        return ""
    shown = [f"{size:.6g}" for size in sizes]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)


def _parse(text: str, ndim: int) -> tuple[float, ...] | None:
    if not text:
        return None
    try:
        sizes = tuple(float(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) not in (1, ndim) or not all(0 < s < float("inf") for s in sizes):
        example = "2, 0.5, 0.5" if ndim == 3 else "0.5"
        raise DataError(
            f"the pixel size {text!r} is not like {example}; give micrometres, or "
            "leave it empty for sizes in pixels"
        )
    return sizes * ndim if len(sizes) == 1 else sizes
