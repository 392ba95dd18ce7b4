"""The keys of the list: next and previous image, accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.compat import isalive

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

NEXT_KEY, PREVIOUS_KEY, ACCEPT_KEY = "N", "Shift-N", "K"
"""Neither napari nor its layers use them."""


class ImageKeys:
    """The keys of a section in a viewer, until it is closed.

    Parameters
    ----------
    viewer
        Gets the keys.
    section
        An ``ImagesSection``, on which they act; not kept alive.
    """

    def __init__(self, viewer: ViewerModel, section: QWidget) -> None:
        self._viewer = ref(viewer)
        weak = ref(section)

        def act(name: str) -> None:
            section = weak()
            if section is not None and isalive(section):
                getattr(section, name)()

        def next_image(_: Any) -> None:
            """Show the next image of the list."""
            act("go_next")

        def previous_image(_: Any) -> None:
            """Show the previous image of the list."""
            act("go_previous")

        def accept_image(_: Any) -> None:
            """Accept the image, and show the next one."""
            act("accept")

        viewer.bind_key(NEXT_KEY, next_image, overwrite=True)
        viewer.bind_key(PREVIOUS_KEY, previous_image, overwrite=True)
        viewer.bind_key(ACCEPT_KEY, accept_image, overwrite=True)

    def close(self) -> None:
        """Leave the keys to others."""
        viewer = self._viewer()
        if viewer is not None:
            for key in (NEXT_KEY, PREVIOUS_KEY, ACCEPT_KEY):
                viewer.bind_key(key, None)
