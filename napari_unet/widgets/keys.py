"""The keys of the dock. napari lists them in its preferences, to be changed there."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)

from napari_unet.widgets.docking import known_dock
from napari_unet.widgets.tooltips import show_key, why_not

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

_PACKAGE = "napari-unet-finetune"
_MOST_CLASSES = 9
"""Classes that have a digit of their own, beside the background."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and what it does.

    Attributes
    ----------
    command
        What follows the name of the package in the command of the manifest.
    default
        The key as napari names it: one that napari uses neither for its menus and the
        viewer nor for any kind of layer, as these go first.
    title
        What it does, as in the manifest and in napari's preferences.
    target
        Path in the dock: a button, which is pressed, or a method, which is called.
    arguments
        Of the method.
    anywhere
        It acts in a text field, too, and is not in napari's preferences, which do not
        know function keys.
    """

    command: str
    default: str
    title: str
    target: str
    arguments: tuple[Any, ...] = ()
    anywhere: bool = False

    @property
    def action(self) -> str:
        """Name of napari's action."""
        return f"{_PACKAGE}:{self.command}"


KEYS = (
    Key(
        "focus_dock",
        "F6",
        "Move the keyboard to the dock, or back to the image",
        "exchange_focus",
        anywhere=True,
    ),
    Key(
        "predict", "Shift-R", "Predict the mask of the chosen image", "predict.predict"
    ),
    Key(
        "paint_background",
        "Shift-B",
        "Paint the background on the mask",
        "correct.press_class",
        (0,),
    ),
    *(
        Key(
            f"paint_class_{number}",
            f"Control-{number}",
            f"Paint class {number} on the mask",
            "correct.press_class",
            (number,),
        )
        for number in range(1, _MOST_CLASSES + 1)
    ),
    Key("unmark", "U", "Unmark with the brush what was painted", "correct.unmark"),
    Key("live", "Q", "Switch Live on or off", "live.switch.native"),
    Key("next_place", "J", "Go to where the prediction is least certain", "live.next"),
    Key(
        "accept_view",
        "Shift-K",
        "Accept the mask on screen as correct",
        "correct.accept",
    ),
    Key("earlier_mask", "G", "Show the mask before, and back", "earlier.toggle"),
    Key(
        "fine_tune",
        "Shift-T",
        "Fine-tune the model on what was touched",
        "fine_tune.train",
    ),
    Key(
        "objects",
        "Shift-O",
        "Separate and measure the objects of the mask",
        "correct.objects",
    ),
    Key("next_image", "N", "Show the next image of the list", "images.next"),
    Key(
        "previous_image",
        "Shift-N",
        "Show the previous image of the list",
        "images.previous",
    ),
    Key(
        "accept_image",
        "K",
        "Accept the image on screen and show the next one of the list",
        "images.accepting",
    ),
    Key("flicker", "H", "Show the other one of two compared masks", "compare.flicker"),
    Key(
        "next_worst",
        "W",
        "Go to the next place where two compared masks differ most",
        "compare.go_to_next_worst",
    ),
)
"""In the order of the dock."""

_present: dict[str, list[str]] = {}
"""By action: its keys now, as napari names them."""


def key_of(command: str) -> Key:
    """Return the key of a command."""
    return next(key for key in KEYS if key.command == command)


def key_text(command: str) -> str:
    """Return the keys of a command as they are shown; empty when it has none."""
    key = key_of(command)
    names = _present.get(key.action, [key.default])
    return " or ".join(coerce_keybinding(name).to_text() for name in names)


def key_of_class(label: int) -> str:
    """Return the key that paints a class, by its value in the mask; empty for none."""
    if label > _MOST_CLASSES:
        return ""
    return key_text(f"paint_class_{label}" if label else "paint_background")


def with_key(text: str, command: str) -> str:
    """Return the text of a button with its key in parentheses, if it has one."""
    key = key_text(command)
    return f"{text} ({key})" if key else text


def act(dock: QWidget, key: Key) -> None:
    """Do in a dock what a key does, or state why that cannot be done now."""
    target = attrgetter(key.target)(dock)
    if not isinstance(target, QAbstractButton):
        target(*key.arguments)
    elif target.isEnabled():
        target.click()
    elif why := why_not(target):
        show_info(why)


def register_keys() -> None:
    """Offer the keys to napari, with those that the user chose for them.

    They act in viewers that have a dock in their window.
    """
    action_manager.events.shortcut_changed.connect(_on_shortcut_changed)
    chosen = get_settings().shortcuts.shortcuts
    for key in KEYS:
        if key.anywhere:
            ViewerModel.bind_key(key.default, _command_of(key), overwrite=True)
            continue
        if key.action in chosen:
            _present[key.action] = [str(each) for each in chosen[key.action]]
        action_manager.register_action(
            key.action, _command_of(key), f"U-Net: {key.title}", ViewerModel
        )
        if key.action not in chosen:
            action_manager.bind_shortcut(key.action, key.default)
            _present.setdefault(key.action, [key.default])


def _on_shortcut_changed(event: Any) -> None:
    """Follow napari, which takes all keys of an action away before it gives others."""
    if not event.name.startswith(f"{_PACKAGE}:"):
        return
    if not event.shortcut:
        _present[event.name] = []
    elif str(event.shortcut) not in _present.setdefault(event.name, []):
        _present[event.name].append(str(event.shortcut))


def _command_of(key: Key) -> Callable[[Any], None]:
    def command(viewer: Any) -> None:
        dock = known_dock(viewer)
        if dock is not None and (key.anywhere or not _is_typing(dock)):
            act(dock, key)

    # napari finds out by its name which key is shown of an action.
    command.__name__ = f"unet_{key.command}"
    return command


def focused(dock: QWidget) -> QWidget | None:
    """Return what has the keyboard; the last that had it in a window that has not."""
    return QApplication.focusWidget() or dock.window().focusWidget()


def _is_typing(dock: QWidget) -> bool:
    """Whether the keyboard writes into a field."""
    field = focused(dock)
    if isinstance(field, QComboBox):
        return field.isEditable()
    return isinstance(field, (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox))


class KeyHints(QObject):
    """Shows the keys in the tooltips of the buttons of a dock.

    Parameters
    ----------
    dock
        Has the buttons; it is the parent.

    Attributes
    ----------
    changed
        A key was changed in napari's preferences.
    """

    changed = Signal()

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        # Behind the callback that keeps the keys.
        action_manager.events.shortcut_changed.connect(self._follow, position="last")
        self.show()

    def show(self) -> None:
        """Show the keys as they are now."""
        for key in KEYS:
            target = attrgetter(key.target)(self._dock)
            if isinstance(target, QAbstractButton):
                show_key(target, key_text(key.command))

    def _follow(self, event: Any) -> None:
        if isalive(self._dock) and event.name.startswith(f"{_PACKAGE}:"):
            self.show()
            self.changed.emit()
