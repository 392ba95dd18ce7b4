"""What napari suppresses in the window stays suppressed beside a busy thread."""

from __future__ import annotations

import threading
import time
import warnings

from napari.utils.colormaps.colormap_utils import label_colormap


def test_colormaps_are_made_while_a_thread_catches_warnings():
    # warnings.catch_warnings is of the process, not of the thread: leaving it in
    # one thread restores the filters that it found, whatever another set since.
    stop = threading.Event()

    def catch() -> None:
        while not stop.is_set():
            with warnings.catch_warnings():
                time.sleep(0.0005)

    thread = threading.Thread(target=catch)
    thread.start()
    try:
        for number in range(300):
            label_colormap(49, seed=number / 300)
    finally:
        stop.set()
        thread.join()
