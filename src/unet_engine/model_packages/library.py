"""The library that knows the specification of bioimage.io; it is an extra."""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from unet_engine.errors import DataError, EngineError
from unet_engine.versions import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".zip"
"""Of a package."""

CONFIG = "napari_unet_finetune"
"""Key in the ``config`` of a description under which this package keeps its own."""


DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml")
"""Names that a description may have, the present one first."""


UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What ``zipfile`` raises of an archive that is damaged, or of a kind unknown to it."""


def holds_package(path: Path) -> bool:
    """Whether a file is an archive with a description, without reading that."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not set(DESCRIPTIONS).isdisjoint(archive.namelist())
    except UNREADABLE:
        return False


def load_spec() -> Any:
    """Return the module ``bioimageio.spec``.

    Raises
    ------
    EngineError
        When it is not installed; names the command that installs it.
    """
    try:
        return import_module("bioimageio.spec")
    except ImportError as error:
        raise EngineError(
            f"packages of bioimage.io need another library ({error}); "
            "pip install 'napari-unet-finetune[bioimageio]'"
        ) from error


def why_not_written() -> tuple[str, str]:
    """Return why the libraries here cannot write a package, and what to do about it.

    Returns
    -------
    tuple of str
        Both empty where they can, or are not there.
    """
    spec, pydantic = installed_version("bioimageio.spec"), installed_version("pydantic")
    try:
        bad = Version(spec) < Version("0.5.14") and Version(pydantic) >= Version("2.14")
    except InvalidVersion:
        return "", ""
    if not bad:
        return "", ""
    return (
        f"bioimageio.spec {spec} fails with pydantic {pydantic}, so no package of "
        "bioimage.io can be written",
        'pip install "bioimageio.spec>=0.5.14", or with bioimageio.core 0.11, which '
        'needs the older one, pip install "pydantic<2.14"',
    )


def load_model_spec() -> Any:
    """Return the module with the classes of a description of a model.

    Raises
    ------
    EngineError
        As of `load_spec`.
    """
    load_spec()
    return import_module("bioimageio.spec.model.v0_5")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what the library logs: all that matters becomes one line."""
    logger = import_module("loguru").logger
    logger.disable("bioimageio")
    try:
        yield
    finally:
        logger.enable("bioimageio")


def describe_invalid(error: Exception) -> str:
    """Return the first thing that a validation found wrong, as a clause."""
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return " ".join(str(error).split())[:200]
    first = errors()[0]
    # Of a union each choice is named; those are classes of the library.
    names = [
        str(part)
        for part in first.get("loc", ())
        if re.match(r"^[a-z_0-9]+$", str(part))
    ]
    return f"{'.'.join(names) or 'it'}: {' '.join(str(first.get('msg')).split())}"[:200]


def invalid(place: object, error: Exception) -> DataError:
    """Return the error for a description that is none."""
    return DataError(
        f"{place} describes no model of bioimage.io that can be used "
        f"({describe_invalid(error)}); ask its author for one that passes "
        "bioimageio test"
    )
