"""Headless U-Net/FCN engine: predict in exact tiles, learn from partial labels.

Imports neither napari nor Qt; torch is imported by the rooms that run a network.
"""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """Return ``__version__`` when it is read: it is in the installed metadata."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("napari-unet-finetune")
    except PackageNotFoundError:
        # Imported from a source tree that was never installed.
        return "0+unknown"
