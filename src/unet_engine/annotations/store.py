"""``StrokeStore``: where the strokes of each image lie, and which image is which."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.folders import (
    ASIDE,
    CORRECTED_OBJECTS,
    in_group,
    stroke_folders,
)
from unet_engine.annotations.recovery import newest_file
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from unet_engine.annotations.snapshot import Header
    from unet_engine.images import Image

STROKES_VARIABLE = "NAPARI_UNET_STROKES"
"""Environment variable that names another folder for the user's strokes."""

_SAMPLES = 2**14
"""Pixels of an image in memory of which its digest is: read in milliseconds."""

_NAME_LETTERS = 24
"""Letters of an image's name in that of its folder, for people who look into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIdentity:
    """What identifies an image. Make one with ``of``.

    Attributes
    ----------
    path
        File or folder that it was opened from; empty when there is none.
    name, axes
        Of the image.
    shape
        Of its labels, ``(*leading, Y, X)``.
    digest
        Of some of its pixels; empty when they would have to be read from the file.
    stamp
        Size and time of the file; empty when there is none.
    blank
        The digest is of pixels that are all alike, as those of many images are.
    """

    path: str
    name: str
    axes: str
    shape: tuple[int, ...]
    digest: str
    stamp: str
    blank: bool = False

    @classmethod
    def of(cls, image: Image, path: str | os.PathLike[str] | None) -> ImageIdentity:
        """Describe an image.

        Of an array in memory a few thousand pixels are read, of any other none, as that
        may take long: one that comes from no file is identified by its name in dask,
        which is a digest of how it was made.

        Parameters
        ----------
        image
            Any.
        path
            Where it was opened from, if anywhere.
        """
        inside = isinstance(image.data, np.ndarray)
        sample = _sample(image) if inside else None
        unread = "" if inside or path is not None else _digest_unread(image)
        return cls(
            path="" if path is None else str(Path(path).absolute()),
            name=image.name,
            axes=image.axes,
            shape=(*image.leading_shape, *image.plane_shape),
            digest=unread if sample is None else _digest(image, sample),
            stamp="" if path is None else _stamp(Path(path)),
            blank=sample is None or bool((sample == sample.flat[0]).all()),
        )

    def image_info(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "path": self.path,
            "name": self.name,
            "axes": self.axes,
            "digest": self.digest,
            "stamp": self.stamp,
        }

    def moved_from(self, image_info: Mapping[str, Any] | None) -> str:
        """Return the path in an earlier ``image_info``; empty if it is still that."""
        before = str((image_info or {}).get("path") or "")
        same = not self.path or before == self.path or _leads_to(before, self.path)
        return "" if same else before

    def changed_since(self, image_info: Mapping[str, Any] | None) -> bool:
        """Whether the pixels are others than those of an earlier ``image_info``."""
        if not image_info:
            return False
        before = image_info.get("digest")
        if before and self.digest:
            return bool(before != self.digest)
        return bool(image_info.get("stamp") != self.stamp)


class StrokeStore:
    """A folder with the strokes of every image, in a folder each.

    Parameters
    ----------
    root
        By default what the environment variable ``NAPARI_UNET_STROKES`` names, else a
        part of the user's data folder.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        folder = root or os.environ.get(STROKES_VARIABLE) or _user_folder()
        self.root = Path(folder).expanduser()

    def has_any(self) -> bool:
        """Whether there are strokes of any image; quick."""
        try:
            return any(self.root.iterdir())
        except OSError:
            return False

    def find(self, identity: ImageIdentity) -> Path | None:
        """Return the folder of the strokes of an image; None when it has none.

        One whose layer had another name then is found by its pixels.
        """
        own = self._folder(identity)
        if newest_file(own) is not None:
            return own
        for folder, header in self._siblings(identity):
            same_size = header.shape[-2:] == identity.shape[-2:]
            if (
                same_size
                and _same_pixels(header.image_info, identity)
                and _fits(header, identity)
            ):
                return folder
        return self._find_moved(identity)

    def _find_moved(self, identity: ImageIdentity) -> Path | None:
        """Return the strokes of an image whose file was somewhere else then.

        The stroke files themselves are searched: an index of them could be out of date.
        """
        if not identity.path:
            return None
        try:
            groups = sorted(self.root.iterdir())
        except OSError:
            return None
        for folder, header in (found for group in groups for found in in_group(group)):
            same_size = header.shape[-2:] == identity.shape[-2:]
            if (
                same_size
                and _fits(header, identity)
                and _same_file(header.image_info, identity)
            ):
                return folder
        return None

    def open(self, identity: ImageIdentity) -> Annotations:
        """Return the annotations of an image, saved where they belong.

        Raises
        ------
        DataError
            When there are some that cannot be read.
        """
        return self._opened(identity, "")

    def open_corrected_objects(self, identity: ImageIdentity) -> Annotations:
        """Return what was corrected of the objects of an image, saved with its strokes.

        Its values are those of ``objects.editing``.

        Raises
        ------
        DataError
            When there are some that cannot be read.
        """
        return self._opened(identity, CORRECTED_OBJECTS)

    def _opened(self, identity: ImageIdentity, part: str) -> Annotations:
        folder = self.find(identity) or self._folder(identity)
        return Annotations.open(
            folder / part, identity.shape, image_info=identity.image_info()
        )

    def of_other_size(self, identity: ImageIdentity) -> tuple[int, int] | None:
        """Return height and width of an image of the same file that has strokes too.

        None when there is none, or when this one has strokes itself.
        """
        if not identity.path or self.find(identity) is not None:
            return None
        for _, header in self._siblings(identity):
            if (
                _fits(header, identity)
                and header.image_info.get("name") == identity.name
            ):
                height, width = header.shape[-2:]
                return height, width
        return None

    def of_file(self, image: Image, path: Path) -> tuple[Path, ...]:
        """Return the folders of all strokes on a file, wherever the file was then.

        Those of its layers under any name, and of layers with other axes.

        Parameters
        ----------
        image
            As opened from the file.
        path
            Of the file.
        """
        identity = ImageIdentity.of(image, path)
        return tuple(
            folder
            for folder, header in stroke_folders(self.root)
            if _same_file(
                header.image_info,
                replace(identity, name=str(header.image_info.get("name"))),
            )
        )

    def set_aside(self, folder: Path) -> Path:
        """Rename a folder of strokes, so that no image finds it.

        Returns
        -------
        Path
            The new one.

        Raises
        ------
        DataError
            When that is not possible.
        """
        base = f"{folder.name}{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}"
        target, number = folder.with_name(base), 1
        while target.exists():
            number += 1
            target = folder.with_name(f"{base}-{number}")
        try:
            folder.rename(target)
        except OSError as error:
            raise DataError(
                f"the strokes in {folder} cannot be set aside: "
                f"{error.strerror or error}; make the folder around them writable"
            ) from error
        return target

    def _folder(self, identity: ImageIdentity) -> Path:
        exact = [identity.name, identity.axes, identity.shape[-2:]]
        return self._group(identity) / _short_hash(exact)

    def _group(self, identity: ImageIdentity) -> Path:
        """Return the folder of all that comes from one file."""
        if identity.path:
            stem, key = Path(identity.path).stem, [identity.path]
        else:
            stem, key = identity.name, [identity.name, identity.digest]
        letters = re.sub(r"[^\w-]+", "_", stem).strip("_")[:_NAME_LETTERS]
        return self.root / f"{letters or 'image'}-{_short_hash(key)}"

    def _siblings(self, identity: ImageIdentity) -> Iterator[tuple[Path, Header]]:
        """Yield the strokes of all images of the same file."""
        yield from in_group(self._group(identity))


def _same_file(image_info: Mapping[str, Any], identity: ImageIdentity) -> bool:
    """Whether strokes are of the file of an image, which had another path then.

    That is so where both paths lead to one file, and where nothing, or another file, is
    left at the old path and the file at the new one has the same pixels. A copy of a
    file that is still in its place is an image of its own.
    """
    before = str(image_info.get("path") or "")
    if not before:
        return False
    if before == identity.path or _leads_to(before, identity.path):
        return image_info.get("name") == identity.name or _same_pixels(
            image_info, identity
        )
    old = Path(before)
    stamp = str(image_info.get("stamp") or "")
    if old.exists() and _stamp(old) == stamp:
        return False
    if identity.digest and image_info.get("digest"):
        if image_info["digest"] != identity.digest or _size(stamp) != _size(
            identity.stamp
        ):
            return False
        if not identity.blank:
            return True
    # Read lazily, or blank: a move keeps name, size and time of a file.
    named = (
        old.name == Path(identity.path).name and image_info.get("name") == identity.name
    )
    return named and stamp == identity.stamp


def _same_pixels(image_info: Mapping[str, Any], identity: ImageIdentity) -> bool:
    return not identity.blank and image_info.get("digest") == identity.digest != ""


def _leads_to(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _size(stamp: str) -> str:
    return stamp.partition(" ")[0]


def _fits(header: Header, identity: ImageIdentity) -> bool:
    return header.image_info.get("axes") == identity.axes


def _short_hash(key: Any) -> str:
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


def _sample(image: Image) -> npt.NDArray[Any]:
    """Return some pixels: the same ones whenever the image is opened."""
    data = image.data
    most = max(2, round(_SAMPLES ** (1 / data.ndim)))
    steps = (slice(None, None, max(1, n // most)) for n in data.shape)
    return np.asarray(data[tuple(steps)])


def _digest_unread(image: Image) -> str:
    """Return a digest of what is known of an array without reading it."""
    data = image.data
    known = (tuple(data.shape), str(data.dtype), str(getattr(data, "name", "")))
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def _digest(image: Image, sample: npt.NDArray[Any]) -> str:
    """Return a digest of shape, type and some pixels of an image."""
    data = image.data
    digest = hashlib.sha256(repr((tuple(data.shape), str(data.dtype))).encode())
    digest.update(np.ascontiguousarray(sample).tobytes())
    return digest.hexdigest()[:32]


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    # The time of a folder is that of its last new entry, whatever its pixels.
    return "" if path.is_dir() else f"{status.st_size} {status.st_mtime_ns}"


def _user_folder() -> Path:
    return platformdirs.user_data_path("napari-unet-finetune", False) / "strokes"
