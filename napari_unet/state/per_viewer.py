"""What belongs to a viewer and outlives its dock, which may be closed and opened again.

Each kind of it is a class: ``of_viewer(viewer, Masks)`` returns the one object of that
class that the viewer has. It lives as long as the viewer.
"""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_of_viewers: WeakKeyDictionary[Any, dict[type, Any]] = WeakKeyDictionary()


def of_viewer(viewer: Any, kind: type[T]) -> T:
    """Return what a viewer has of a kind, made at the first call.

    Parameters
    ----------
    viewer
        Not the proxy that napari hands to plugins, see ``unwrapped``.
    kind
        A class that is made without arguments. Its objects must not refer to the
        viewer, which would never be freed then.
    """
    kinds = _of_viewers.setdefault(viewer, {})
    if kind not in kinds:
        kinds[kind] = kind()
    found: T = kinds[kind]
    return found
