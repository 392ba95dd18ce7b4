"""Object storage in memory, ``faulty://``, that throttles, fails or is away."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

_COUNTED = ("cat_file", "exists", "ls", "pipe_file", "rm")

_inside = threading.local()


class FaultyStorage(MemoryFileSystem):
    """Fails as often as its class is set to, as a bucket with many clients does."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    tries: ClassVar[dict[tuple[str, str], int]] = {}
    """Requests of a kind and a path since the last that succeeded."""
    works_after = 1
    """At which of its tries a request succeeds; those before are throttled."""
    away = ""
    """Requests of objects whose name has this in it fail, if it is not empty."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return f"/{path.removeprefix('faulty://').strip('/')}"

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _COUNTED:
            return found

        def request(path: Any, *arguments: Any, **options: Any) -> Any:
            cls = FaultyStorage
            if getattr(_inside, "request", False):
                return found(path, *arguments, **options)
            if cls.away and cls.away in str(path):
                raise OSError(5, "the bucket is away")
            tries = cls.tries[name, str(path)] = cls.tries.get((name, str(path)), 0) + 1
            if tries < cls.works_after:
                raise OSError(16, "Please reduce your request rate.")
            cls.tries[name, str(path)] = 0
            _inside.request = True
            try:
                return found(path, *arguments, **options)
            finally:
                _inside.request = False

        return request

    @classmethod
    def start(cls) -> None:
        """Empty it, and let it work."""
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.tries.clear()
        cls.works_after, cls.away = 1, ""

    @classmethod
    def contents(cls, prefix: str) -> dict[str, bytes]:
        """Return the objects below a prefix by their names."""
        prefix = f"/{prefix}/"
        return {
            name.removeprefix(prefix): file.getvalue()
            for name, file in sorted(cls.store.items())
            if name.startswith(prefix)
        }


fsspec.register_implementation("faulty", FaultyStorage, clobber=True)
