"""``ListSaver``: writes a list in a thread, so that the window does not wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from unet_engine.image_list.image_list import ImageList


class ListSaver:
    """Saves a list soon after each change; changes that come meanwhile together.

    Parameters
    ----------
    images
        The list.

    Attributes
    ----------
    error
        Why it could not be saved last; empty when it was.
    """

    def __init__(self, images: ImageList) -> None:
        self._images = images
        self._condition = threading.Condition()
        self._wanted = False
        self._thread: threading.Thread | None = None
        self.error = ""

    def save_soon(self) -> None:
        """Save in a thread."""
        with self._condition:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="napari-unet-list", daemon=True
                )
                self._thread.start()

    def finish(self) -> None:
        """Wait until everything is saved, or could not be."""
        with self._condition:
            self._condition.wait_for(lambda: self._thread is None)
        self._save()

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._wanted:
                    self._thread = None
                    self._condition.notify_all()
                    return
                self._wanted = False
            self._save()

    def _save(self) -> None:
        try:
            self._images.save()
            self.error = ""
        except DataError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001
            # Whatever it is, nobody must wait for a thread that is gone.
            self.error = f"{self._images.path} was not saved: {error}"
