"""The files that a description of a package names, wherever in it it does so."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def listed_files(description: Any) -> Iterator[tuple[str, str]]:
    """Yield the name and the stated SHA-256 of each file of the package.

    Parameters
    ----------
    description
        A ``ModelDescr``; files at an address are passed over.

    Yields
    ------
    tuple of str
        The second is empty where the description states none.
    """
    common = import_module("bioimageio.spec.common")
    waiting: list[Any] = [description]
    while waiting:
        one = waiting.pop()
        if isinstance(one, common.RelativeFilePath):
            yield name_of(one), ""
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif hasattr(one, "model_fields_set"):
            values = {name: getattr(one, name) for name in type(one).model_fields}
            if isinstance(one, common.FileDescr):
                source, signed = values.pop("source"), values.pop("sha256")
                if isinstance(source, common.RelativeFilePath):
                    yield name_of(source), str(signed or "")
            waiting += values.values()


def name_of(source: Any) -> str:
    """Return the name that a file has in the archive.

    Parameters
    ----------
    source
        Of a file in the description: a relative path, or an address.
    """
    name = str(getattr(source, "path", source)).replace("\\", "/")
    return name.removeprefix("./")
