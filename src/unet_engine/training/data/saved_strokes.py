"""Strokes that were saved during painting, and the images they belong to.

In the window the user looks at image and strokes; a command cannot. So strokes of an
image that is gone or has changed are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.folders import read_corrected_objects, stroke_folders
from unet_engine.annotations.store import STROKES_VARIABLE, ImageIdentity, StrokeStore
from unet_engine.errors import DataError
from unet_engine.image_list.image_list import ImageList
from unet_engine.image_list.list_file import SUFFIX as LIST_SUFFIX
from unet_engine.images import is_zarr
from unet_engine.images.labels.rules import default_names
from unet_engine.training.data.labelled_images import PaintedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.images import Image

    OpenFile = Callable[[Path, str | None], Image]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SavedStrokes:
    """The strokes on an image, as they were painted.

    Attributes
    ----------
    image
        Lazy, under the name that it had then.
    strokes
        As they were read; changes of them are not saved.
    folder
        Where they lie.
    corrected_objects
        What was corrected of single objects, if anything was.
    optional
        See ``PaintedImage``.
    """

    image: Image
    strokes: Annotations
    folder: Path
    corrected_objects: Annotations | None = None
    optional: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by value; empty for strokes of early versions."""
        return self.strokes.painted.names

    @property
    def painted(self) -> tuple[str, ...]:
        """Names of the classes that were painted, in the order of their values."""
        return tuple(n for v, n in enumerate(self.names) if v in self.strokes.classes())

    def in_classes(self, classes: Sequence[str]) -> PaintedImage:
        """Return the strokes with the values of a model.

        Parameters
        ----------
        classes
            Of the model. Strokes without names have these values already.

        Raises
        ------
        DataError
            When the model lacks a class that was painted.
        """
        missing = [name for name in self.painted if name not in classes]
        if missing:
            listed = ", ".join(map(repr, missing))
            raise DataError(
                f"the strokes on {self.image.name} are of the "
                f"class{'es' * (len(missing) > 1)} {listed}, which the model does not "
                f"have; name them too: --classes '{','.join((*classes, *missing))}'"
            )
        order = {name: value for value, name in enumerate(classes)}
        values = {v: order[n] for v, n in enumerate(self.names) if n in order}
        strokes = self.strokes.copy(values) if self.names else self.strokes
        return PaintedImage(
            image=self.image,
            strokes=strokes,
            corrected_objects=self.corrected_objects,
            optional=self.optional,
        )


def painted_classes(saved: Sequence[SavedStrokes]) -> tuple[str, ...]:
    """Return the classes of a new model for strokes: the background, and the painted.

    Parameters
    ----------
    saved
        At least one.
    """
    names = dict.fromkeys(name for one in saved for name in one.names)
    if not names:
        highest = max((v for one in saved for v in one.strokes.classes()), default=1)
        return default_names(highest + 1)
    painted = {name for one in saved for name in one.painted}
    background = next(iter(names))
    return tuple(name for name in names if name in painted or name == background)


def find_strokes(
    sources: Sequence[Path], open_file: OpenFile, store: StrokeStore | None = None
) -> list[SavedStrokes]:
    """Find strokes and open the images that they were painted on.

    Parameters
    ----------
    sources
        Folders with strokes, image files, and lists of images. All strokes of the
        folders are taken; if there are images too, only theirs, and without folders
        those in ``store``.
    open_file
        Opens an image file; the axes are those of the layer, for a file that does not
        name them.
    store
        By default the user's.

    Raises
    ------
    DataError
        When there are no strokes, or their image is missing, has moved or has changed.
    """
    folders = [path for path in sources if path.is_dir() and not is_zarr(path)]
    stores = [StrokeStore(folder) for folder in folders] or [store or StrokeStore()]
    images = [path for path in sources if path not in folders]
    if images:
        return [
            one
            for path in images
            for one in (_of_list if path.suffix == LIST_SUFFIX else _of_image)(
                path, stores, open_file
            )
        ]
    found: list[SavedStrokes] = []
    for folder in folders:
        inside = stroke_folders(folder)
        if not inside:
            raise DataError(
                f"there are no strokes in {folder}; give the folder where they were "
                f"saved ({(store or StrokeStore()).root}, or what {STROKES_VARIABLE} "
                "named then), or the images that were painted on"
            )
        found += [_open(strokes, None, open_file) for strokes, _ in inside]
    return found


def _of_image(
    path: Path, stores: Sequence[StrokeStore], open_file: OpenFile
) -> list[SavedStrokes]:
    image = open_file(path, None)
    found = [folder for store in stores for folder in store.of_file(image, path)]
    if not found:
        where = " and ".join(str(store.root) for store in stores)
        raise DataError(
            f"there are no strokes on {path} in {where}; paint on it in napari, or "
            "give the folder of its strokes as well: --strokes FOLDER IMAGE"
        )
    return [_open(folder, path, open_file) for folder in found]


def _of_list(
    path: Path, stores: Sequence[StrokeStore], open_file: OpenFile
) -> list[SavedStrokes]:
    """Return the strokes on all images of a list; most have none as a rule."""
    images = ImageList.open(path, write=False)
    members = images.members()
    found = []
    for folder, header in (each for s in stores for each in stroke_folders(s.root)):
        was = str(header.image_info.get("path") or "")
        # Whether it is the same image is seen when it is opened.
        if was and (place := members.find(Path(was))) is not None:
            found.append(_open(folder, place, open_file))
    if not found:
        raise DataError(
            f"nothing was painted on the {len(images)} images of {path}; paint on one "
            "in napari, or give the folder of their strokes as well: --strokes FOLDER "
            f"{path}"
        )
    return found


def _open(folder: Path, path: Path | None, open_file: OpenFile) -> SavedStrokes:
    """Open strokes and their image, where it was or is now."""
    strokes = Annotations.read(folder)
    about = strokes.recovery.image_info or {}
    name = str(about.get("name") or folder.name)
    path = path or _image_path(folder, name, str(about.get("path") or ""))
    axes = str(about.get("axes") or "")
    image = open_painted(path, strokes, open_file)
    if not is_of(image, strokes.shape, axes):
        shape = (*image.leading_shape, *image.plane_shape)
        raise DataError(
            f"{path} has planes of {_size(shape)}, and the strokes are on {axes} of "
            f"{_size(strokes.shape)}; give the image that was painted on, or its axes "
            "with --axes"
        )
    if has_changed(image, path, strokes):
        raise DataError(
            f"{path} has changed since the strokes in {folder} were painted; open it "
            "in napari, look whether they still fit, and paint one more, which notes "
            "the image as it is now"
        )
    return SavedStrokes(
        image=replace(image, name=name),
        strokes=strokes,
        folder=folder,
        corrected_objects=read_corrected_objects(folder),
    )


def _image_path(folder: Path, name: str, path: str) -> Path:
    if not path:
        raise DataError(
            f"the strokes in {folder} were painted on {name!r}, which came from no "
            "file; save it as one and paint on that, or give the images to train on: "
            "--strokes IMAGE"
        )
    if not Path(path).exists():
        raise DataError(
            f"{path} is not there any more, on which the strokes in {folder} were "
            f"painted; give the image where it is now: --strokes {folder} IMAGE"
        )
    return Path(path)


def open_painted(path: Path, strokes: Annotations, open_file: OpenFile) -> Image:
    """Open the image of strokes.

    Files do not always name their axes; the user chose them in the window.

    Parameters
    ----------
    path
        Where it is.
    strokes
        As they were read.
    open_file
        Opens an image file with axes; None: those that it names.

    Returns
    -------
    Image
        Under the name of the file. It may be another one by now: see ``is_of``.

    Raises
    ------
    DataError
        When it cannot be opened.
    """
    axes = str((strokes.recovery.image_info or {}).get("axes") or "")
    try:
        image = open_file(path, None)
        if is_of(image, strokes.shape, axes):
            return image
    except DataError:
        if not axes:
            raise
    return open_file(path, axes or None)


def is_of(image: Image, shape: tuple[int, ...], axes: str) -> bool:
    """Whether strokes of a shape, on a layer with axes, are on planes like these."""
    leading = "".join(axis for axis in axes if axis not in "CSYX")
    own = (*image.leading_shape, *image.plane_shape)
    return own == shape and image.leading_axes == leading


def has_changed(image: Image, path: Path, strokes: Annotations) -> bool:
    """Whether an image is another one than it was when strokes were painted on it."""
    about = strokes.recovery.image_info or {}
    identity = ImageIdentity.of(image, path)
    if image.axes != about.get("axes"):
        # Its pixels are compared with those of a layer of the same axes only.
        identity = replace(identity, digest="")
    return identity.changed_since(about)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
