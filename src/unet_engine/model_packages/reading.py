"""A package of bioimage.io that anybody may have made, read without running any of it.

Nothing is unpacked, fetched from an address or imported. Every file is hashed, whether
it is used here or not: each that the description names has to be there, and as signed.
"""

from __future__ import annotations

import hashlib
import stat
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.failures import quoted
from unet_engine.model_packages.library import (
    DESCRIPTIONS,
    UNREADABLE,
    invalid,
    load_model_spec,
    load_spec,
    quiet,
)
from unet_engine.model_packages.listed_files import listed_files, name_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_LARGEST_DESCRIPTION = 2**19
"""Bytes; descriptions have some ten thousand, and a second parses a tenth of these."""

_MOST_VALUES = 10**5
"""Of a description: names for parts of it can make billions of a few lines."""

_LARGEST_FILE = 2**33
"""Bytes of all files unpacked, 8 GiB: far above any network that fits a computer."""

_SMALL = 2**26
"""Bytes, 64 MiB, that any file may have unpacked, however small it is packed."""

_MOST_PACKED = 50
"""Times that a larger file may be smaller in the package: weights shrink by a tenth,
nothing but zeros a thousand times."""

_BLOCK = 2**20
"""Bytes that are hashed at a time."""


class Package:
    """An open package.

    Attributes
    ----------
    path
        Of the package.
    description
        The ``ModelDescr`` in it, in the terms of version 0.5.
    is_earlier
        Whether it was of an earlier version, which signs weights only.
    digest
        SHA-256 of the names and contents of all files, however they are packed.

    Raises
    ------
    DataError
        As of `open_package`.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self._names = self._checked_names()
        self._signed: dict[str, str] = {}
        self.is_earlier = False
        self.description = self._describe()
        self._digests = self._hashed()
        self._check_listed()
        named = "".join(f"{one} {self._digests[one]}\n" for one in sorted(self._names))
        self.digest = hashlib.sha256(named.encode()).hexdigest()

    def read(self, entry: Any) -> bytes:
        """Return the content of a file, which is as it was signed.

        Parameters
        ----------
        entry
            Of the description, with ``source`` and ``sha256``.

        Raises
        ------
        DataError
            When it is not in the package, was changed, or is not signed.
        """
        name = name_of(entry.source)
        self._check_signed(name, str(entry.sha256 or self._signed.get(name, "")))
        return self._content(name, _LARGEST_FILE)

    def _check_listed(self) -> None:
        """Make sure that all files of the description are there, as it signs them."""
        for name, signed in listed_files(self.description):
            if signed := signed or self._signed.get(name, ""):
                self._check_signed(name, signed)
            else:
                self._check_there(name)

    def _check_there(self, name: str) -> None:
        if name not in self._names:
            raise DataError(
                f"{self.path} lacks the file {quoted(name)}; download the whole "
                "package again"
            )

    def _check_signed(self, name: str, signed: str) -> None:
        self._check_there(name)
        if not signed and self.is_earlier and name.endswith(".npy"):
            return
        if self._digests[name] != signed:
            raise DataError(
                f"{self.path}: {quoted(name)} is not the file that the description "
                "signs, so it was changed or damaged; download the package again"
            )

    def _hashed(self) -> dict[str, str]:
        """Return the SHA-256 of each file, in blocks: none is in memory as a whole."""
        total = sum(entry.file_size for entry in self._archive.infolist())
        packed = self.path.stat().st_size
        if total > _LARGEST_FILE or (total > _SMALL and total > _MOST_PACKED * packed):
            raise DataError(
                f"{self.path} would take {total / 2**20:.0f} MB of "
                f"{packed / 2**20:.1f} MB, which no model does; do not use this package"
            )
        return {name: self._hash(name) for name in sorted(self._names)}

    def _hash(self, name: str) -> str:
        found = hashlib.sha256()
        try:
            with self._archive.open(name) as file:
                while block := file.read(_BLOCK):
                    found.update(block)
        except UNREADABLE as error:
            raise self._unreadable(name, error) from error
        return found.hexdigest()

    def _unreadable(self, name: str, error: Exception) -> DataError:
        return DataError(
            f"{self.path}: {quoted(name)} cannot be read ({quoted(error)}); download "
            "the package again"
        )

    def _checked_names(self) -> frozenset[str]:
        found: set[str] = set()
        for entry in self._archive.infolist():
            name, problem = entry.filename, ""
            place = PurePosixPath(name.replace("\\", "/"))
            if place.is_absolute() or ".." in place.parts or ":" in name:
                problem = "a file that would lie outside of it"
            elif stat.S_ISLNK(entry.external_attr >> 16):
                problem = "a link in place of a file"
            elif name in found:
                problem = "two files of one name"
            if problem:
                raise DataError(
                    f"{self.path} has {problem} ({quoted(name)!r}); do not use this "
                    "package"
                )
            found.add(name)
        return frozenset(found)

    def _describe(self) -> Any:
        name = next((one for one in DESCRIPTIONS if one in self._names), None)
        if name is None:
            raise DataError(
                f"{self.path} has no {DESCRIPTIONS[0]}, so it is no package of "
                "bioimage.io; choose another file"
            )
        text = self._content(name, _LARGEST_DESCRIPTION).decode("utf-8", "replace")
        content = _parse(text, self.path)
        if content.get("type") != "model":
            raise DataError(
                f"{self.path} is of the type {quoted(content.get('type'))!r}; choose a "
                "package with a model"
            )
        # The conversion drops what signs the files.
        self.is_earlier = str(content.get("format_version", "")).startswith("0.4.")
        weights = content.get("weights")
        for one in weights.values() if isinstance(weights, dict) else ():
            if isinstance(one, dict) and self.is_earlier:
                source = str(one.get("source", "")).removeprefix("./")
                self._signed[source] = str(one.get("sha256") or "")
        return _validated(content, self.path)

    def _content(self, name: str, most: int) -> bytes:
        try:
            entry = self._archive.getinfo(name)
            size, packed = entry.file_size, max(entry.compress_size, 1)
            if size > most or (size > _SMALL and size > _MOST_PACKED * packed):
                raise DataError(
                    f"{self.path}: {quoted(name)} would take {size / 2**20:.0f} MB of "
                    f"{packed / 2**20:.1f} MB in the package, which no file of a model "
                    "does; do not use this package"
                )
            return self._archive.read(name)
        except UNREADABLE as error:
            raise self._unreadable(name, error) from error


@contextmanager
def open_package(path: str | os.PathLike[str]) -> Iterator[Package]:
    """Open a package and check its description.

    Raises
    ------
    DataError
        When it is no package, damaged, lacks a file, has one that was changed or whose
        path leads out of it, or a description that does not keep to the specification.
    EngineError
        When the library for it is not installed.
    """
    path = Path(path)
    load_spec()
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened: {error.strerror or error}; check the path"
        ) from error
    except UNREADABLE as error:
        raise DataError(
            f"{path} is no zip file, or it is cut off; download the package again"
        ) from error
    with archive:
        yield Package(path, archive)


def _parse(text: str, path: Path) -> dict[str, Any]:
    """Return the values of a description: plain ones, no objects."""
    from ruyaml import YAML

    try:
        content = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # the parser raises what it likes
        line = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: the description is no YAML ({line}); download the package again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: the description holds no fields; ask its author")
    waiting: list[Any] = [content]
    count = 0
    while waiting and count <= _MOST_VALUES:
        one, count = waiting.pop(), count + 1
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    if waiting:
        raise DataError(
            f"{path}: the description has more than {_MOST_VALUES} values, which none "
            "needs; do not use this package"
        )
    return content


def _validated(content: dict[str, Any], path: Path) -> Any:
    """Return a description of version 0.5, of an older one converted to it."""
    spec, models = load_spec(), load_model_spec()
    context = spec.ValidationContext(perform_io_checks=False)
    with quiet():
        try:
            with warnings.catch_warnings():
                # Of what the conversion of an older one assumes; the example shows it.
                warnings.simplefilter("ignore")
                found = spec.build_description(
                    content, context=context, format_version="latest"
                )
        except Exception as error:  # the library raises what it likes
            raise invalid(path, error) from error
    if isinstance(found, models.ModelDescr):
        return found
    raise _problem(found, path)


def _problem(found: Any, path: Path) -> DataError:
    """Return the first thing that is wrong with a description."""
    for detail in getattr(found.validation_summary, "details", ()):
        for one in detail.errors:
            place = ".".join(
                str(part) for part in one.loc if not str(part)[:1].isupper()
            )
            return invalid(path, ValueError(f"{place}: {one.msg}"))
    return invalid(path, ValueError("it is of another kind"))
