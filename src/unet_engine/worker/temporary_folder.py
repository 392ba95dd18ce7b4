"""``temporary_folder``: where workers keep what was sent to them, while they run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "napari-unet-worker"


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Make a folder that is removed at the end, and remove those that were left.

    One is left by a program that was killed, and holds pixels. Its name has the machine
    and the process: a folder for temporary files may be shared by machines, and that of
    a program that runs is not touched.
    """
    machine = re.sub(r"\W", "_", socket.gethostname())
    for left in Path(tempfile.gettempdir()).glob(f"{_NAME}-{machine}-*-*"):
        process = left.name.split("-")[-2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            # Of another user it stays.
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"{_NAME}-{machine}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield folder
