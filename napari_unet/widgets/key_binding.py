"""``KeyBinding``: a key of a viewer that does what a widget does, while that lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from qtpy.compat import isalive

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel


class KeyBinding:
    """A key in a viewer, until it is closed.

    Parameters
    ----------
    viewer
        Gets the key.
    key
        As napari names it; one that neither napari nor its layers use.
    act
        A method of a widget, which is not kept alive. Its first line of documentation
        is what napari shows of the key.
    """

    def __init__(
        self, viewer: ViewerModel, key: str, act: Callable[[], object]
    ) -> None:
        self._viewer = ref(viewer)
        self._key = key
        weak = WeakMethod(act)

        def on_pressed(_: Any) -> None:
            """."""
            method = weak()
            if method is not None and isalive(getattr(method, "__self__", None)):
                method()

        on_pressed.__doc__ = act.__doc__
        viewer.bind_key(key, on_pressed, overwrite=True)

    def close(self) -> None:
        """Leave the key to others."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.bind_key(self._key, None)
