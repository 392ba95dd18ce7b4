"""Headless U-Net/FCN engine: predict in exact tiles, learn from partial labels.

Imports neither napari nor Qt. What a script needs is here and imported when it is first
used: ``import unet_engine`` is quick and imports no torch. The names are listed in
``__init__.pyi``.

The folders, in the order in which data pass them: ``images`` are opened, ``tiling``
divides them, ``models`` describe networks, ``compute`` runs them,
``pixel_classification`` evaluates pixel classifiers, ``prediction``
makes masks; ``annotations`` hold strokes, from which ``interactive`` learns at once and
``training`` in minutes; ``objects`` numbers and measures, ``outlines`` hands these to
other programs, ``tracking`` follows them through time, ``batch`` does it all to many
images, ``scripting`` writes runs as commands and scripts, ``metrics`` scores,
``synthetic`` generates images, ``doctor`` tests an installation, ``cli`` is the
command. All use the words in ``places``
(positions), ``labels`` (values of label images), ``devices``, ``settings``,
``stopping`` and ``errors``; ``failures`` makes lines of errors, ``generators`` runs a
run to its end, ``llvm`` keeps a library out that crashes beside Mesa.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_import_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__: str


def __getattr__(name: str) -> Any:
    """Import a public name, or read ``__version__`` from the installed metadata."""
    if name != "__version__":
        return _import_attribute(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("napari-unet-finetune")
    except PackageNotFoundError:
        # Imported from a source tree that was never installed.
        return "0+unknown"
