"""What is done to the files of a folder, and what a power cut leaves of them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


@dataclass(eq=False)
class File:
    """Bytes that are on the disk, and the changes that are not there yet."""

    durable: bytes = b""
    pending: list[Callable[[bytes], bytes]] = field(default_factory=list)

    def content(self, kept: int | None = None) -> bytes:
        """Return the bytes after the first of the pending changes, by default all."""
        data = self.durable
        for change in self.pending[:kept]:
            data = change(data)
        return data


class Disk:
    """Files by name. As in a journaling file system a sync takes all names along."""

    def __init__(self) -> None:
        self.files: dict[Path, File] = {}
        self._durable: dict[Path, File] = {}
        self._renamings: list[dict[Path, File]] = []

    @property
    def is_synced(self) -> bool:
        """Whether all files are on the disk; those that were removed may be, too."""
        return all(
            self._durable.get(path) is file and not file.pending
            for path, file in self.files.items()
        )

    def rename(self, path: Path, file: File | None) -> None:
        """Give a file a name; None takes the name away."""
        for name in [n for n, known in self.files.items() if known is file]:
            del self.files[name]
        self.files.pop(path, None)
        if file is not None:
            self.files[path] = file
        self._renamings.append(dict(self.files))

    def sync(self, file: File | None) -> None:
        """Bring all names and a file to the disk."""
        if file is not None:
            file.durable, file.pending = file.content(), []
        self._durable, self._renamings = dict(self.files), []

    def after_power_cut(self, choose: Callable[[int], int]) -> dict[Path, bytes]:
        """Return the files that are left.

        Parameters
        ----------
        choose
            Returns how many of so many changes that were not synced reached the disk.
        """
        kept = choose(len(self._renamings))
        names = self._renamings[kept - 1] if kept else self._durable
        return {
            path: file.content(choose(len(file.pending)))
            for path, file in names.items()
        }


class Recorder:
    """Records what goes through ``os`` to the files of a folder, to play it again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._steps: list[Callable[[Disk], None] | None] = []
        self._files: dict[Path, File] = {}
        self._all: list[File] = []
        self._handles: dict[int, File] = {}
        self._appending: set[int] = set()
        self._mutex = threading.RLock()
        for name in ("open", "dup", "write", "ftruncate", "fsync", "replace", "unlink"):
            genuine = getattr(os, name)
            monkeypatch.setattr(os, name, self._recording(name, genuine))

    def mark(self) -> None:
        """Note that one more act is made."""
        self._steps.append(None)

    def moments(self) -> Iterator[tuple[Disk, int, int]]:
        """Yield, after each step, the disk, the acts made, and those on the disk."""
        disk, made, synced = Disk(), 0, 0
        for file in self._all:
            file.durable, file.pending = b"", []
        for step in self._steps:
            if step is None:
                made += 1
            else:
                step(disk)
            if disk.is_synced:
                synced = made
            yield disk, made, synced

    def _recording(self, name: str, genuine: Any) -> Any:
        note = getattr(self, f"_{name}")

        def call(*arguments: Any, **options: Any) -> Any:
            with self._mutex:
                before = self._place(arguments[0]) if name == "write" else 0
                result = genuine(*arguments, **options)
                step = note(result, before, *arguments)
                if step is not None:
                    self._steps.append(step)
                return result

        return call

    def _place(self, handle: int) -> int:
        return os.lseek(handle, 0, os.SEEK_CUR) if handle in self._handles else 0

    def _open(self, handle: int, _: int, path: Any, flags: int, *__: Any) -> Any:
        path = Path(path)
        self._handles.pop(handle, None)
        if path.parent != self.folder or path.name == ".lock":
            return None
        (self._appending.add if flags & os.O_APPEND else self._appending.discard)(
            handle
        )
        known = self._files.get(path)
        file = self._handles[handle] = known or File()
        if known is None:
            self._files[path] = file
            self._all.append(file)
            return lambda disk: disk.rename(path, file)
        if flags & os.O_TRUNC:
            return lambda _: file.pending.append(lambda _: b"")
        return None

    def _dup(self, handle: int, _: int, of: int) -> None:
        self._handles.pop(handle, None)
        if of in self._handles:
            self._handles[handle] = self._handles[of]

    def _write(self, count: int, place: int, handle: int, data: Any) -> Any:
        file, data = self._handles.get(handle), bytes(data[:count])
        if file is None:
            return None

        appends = handle in self._appending

        def change(old: bytes) -> bytes:
            at = len(old) if appends else place
            return old[:at].ljust(at, b"\0") + data + old[at + len(data) :]

        return lambda _: file.pending.append(change)

    def _ftruncate(self, _: None, __: int, handle: int, size: int) -> Any:
        file = self._handles.get(handle)
        return file and (lambda _: file.pending.append(lambda old: old[:size]))

    def _fsync(self, _: None, __: int, handle: int) -> Any:
        file = self._handles.get(handle)
        return lambda disk: disk.sync(file)

    def _replace(self, _: None, __: int, source: Any, target: Any) -> Any:
        if Path(source) not in self._files:
            return None
        file = self._files[Path(target)] = self._files.pop(Path(source))
        return lambda disk: disk.rename(Path(target), file)

    def _unlink(self, _: None, __: int, path: Any, **___: Any) -> Any:
        if self._files.pop(Path(path), None) is None:
            return None
        return lambda disk: disk.rename(Path(path), None)
