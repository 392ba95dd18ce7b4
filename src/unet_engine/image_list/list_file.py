"""The file of an image list: JSON with a version, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.image_list.entry import STATES, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX = ".unet"
"""Of the files of lists."""

FORMAT = "napari-unet image list"
VERSION = 1
"""Of the format; a file with a higher one is refused."""

_STORED = ("state", "classes", "model", "stamp", "digest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file of a list holds.

    Attributes
    ----------
    entries
        In their order.
    folder
        Absolute path of the folder in which the list was written last.
    model
        Name of the model that was chosen last; empty for none.
    settings
        What else is remembered, as JSON types.
    """

    entries: tuple[Entry, ...] = ()
    folder: str = ""
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def write_contents(path: Path, contents: Contents) -> None:
    """Write the file of a list, whole or not at all.

    Raises
    ------
    DataError
        When it cannot be written.
    """
    values = {
        "format": FORMAT,
        "version": VERSION,
        "folder": contents.folder,
        "model": contents.model,
        "settings": dict(contents.settings),
        "images": [_packed(entry) for entry in contents.entries],
    }
    with whole_file(path) as temporary:
        # A line for each image: people read it, and versions of it can be compared.
        temporary.write_text(_text(values), encoding="utf-8")


def read_contents(path: Path) -> Contents:
    """Read the file of a list.

    Raises
    ------
    DataError
        When it is missing, damaged, no list, or of a newer version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}; check the path"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is no image list, or damaged; {_RENEW}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(
            f"{path} is no image list; give a {SUFFIX} file that was made by this "
            "program"
        )
    version = values.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise DataError(
            f"{path} was written by a newer version of this program; update it "
            '(pip install -U "napari-unet-finetune"), or make a new list of the '
            "same images: their strokes are found again"
        )
    try:
        return _unpacked(values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); {_RENEW}") from error


_RENEW = (
    "restore a copy of it, or make a new list of the same images: their strokes are "
    "found again"
)


def _text(values: Mapping[str, Any]) -> str:
    images = ",\n".join(
        json.dumps(image, ensure_ascii=False) for image in values["images"]
    )
    head = json.dumps({**values, "images": []}, ensure_ascii=False, indent=1)
    opening = head.rindex("[]")
    body = f"[\n{images}\n]" if images else "[]"
    return f"{head[:opening]}{body}{head[opening + 2 :]}\n"


def _packed(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON types, without what it does not have."""
    found = {name: getattr(entry, name) for name in _STORED}
    return {"path": entry.path, **{k: v for k, v in found.items() if v}}


def _unpacked(values: Mapping[str, Any]) -> Contents:
    entries = [_entry(each) for each in values["images"]]
    if len({entry.path for entry in entries}) < len(entries):
        raise ValueError("an image is in it twice")
    settings = values.get("settings", {})
    if not isinstance(settings, dict):
        raise TypeError("the settings are no mapping")
    return Contents(
        entries=tuple(entries),
        folder=_string(values.get("folder", ""), "folder"),
        model=_string(values.get("model", ""), "model"),
        settings=settings,
    )


def _entry(values: Mapping[str, Any]) -> Entry:
    path = _string(values["path"], "path")
    if not path or "\0" in path:
        raise ValueError("an image has no path")
    state = values.get("state", "untouched")
    if state not in STATES:
        raise ValueError(f"{state!r} is no state of an image")
    return Entry(
        path=path,
        state=state,
        classes=tuple(_string(name, "class") for name in values.get("classes", ())),
        **{n: _string(values.get(n, ""), n) for n in ("model", "stamp", "digest")},
    )


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the {name} is no text")
    return value
