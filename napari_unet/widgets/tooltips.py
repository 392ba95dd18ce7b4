"""Tooltips in parts: what a button does, its key, and why it cannot be used now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QAbstractButton, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABOUT, _KEY, _WHY_NOT, _SHOWN = "about", "key", "why not", "shown"
"""Properties of widgets."""
_PARTS = {_KEY: " Key: {0}.", _WHY_NOT: "\n\nNot available now. {0}"}


def explain(widget: QWidget, about: str) -> None:
    """State in the tooltip what a button does; its key and a reason stay there."""
    widget.setProperty(_ABOUT, about)
    _show(widget)


def show_key(widget: QWidget, key: str) -> None:
    """State the key of a button in its tooltip; empty: it has none."""
    _keep_about(widget)
    widget.setProperty(_KEY, key)
    _show(widget)


def enable(widget: QWidget, why_not: str = "") -> None:
    """Enable a button, or a form with all that is in it, or disable it.

    Parameters
    ----------
    widget
        The button or form.
    why_not
        A sentence why it cannot be used now, with what to do about it; it is shown in
        the tooltip. Empty: it can be used.
    """
    widget.setProperty(_WHY_NOT, why_not)
    widget.setEnabled(not why_not)
    for each in (widget, *_buttons_in(widget)):
        _keep_about(each)
        _show(each)


def why_not(widget: QWidget) -> str:
    """Return why a button, or a form that it is in, cannot be used; empty if it can."""
    above: QWidget | None = widget
    while above is not None:
        if why := str(above.property(_WHY_NOT) or ""):
            return f"{why[:1].upper()}{why[1:]}"
        above = above.parentWidget()
    return ""


def _buttons_in(widget: QWidget) -> Iterator[QWidget]:
    yield from widget.findChildren(QAbstractButton)


def _keep_about(widget: QWidget) -> None:
    """Remember a tooltip that was set by other means."""
    if widget.toolTip() != (widget.property(_SHOWN) or ""):
        widget.setProperty(_ABOUT, widget.toolTip())


def _show(widget: QWidget) -> None:
    parts = {_KEY: widget.property(_KEY), _WHY_NOT: why_not(widget)}
    text = str(widget.property(_ABOUT) or "")
    added = "".join(
        _PARTS[name].format(value) for name, value in parts.items() if value
    )
    shown = (text + added).strip()
    widget.setProperty(_SHOWN, shown)
    widget.setToolTip(shown)
