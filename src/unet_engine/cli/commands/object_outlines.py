"""Where the outlines of the objects of a run go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from unet_engine.cli.files.outputs import check_free, check_place
from unet_engine.cli.files.tasks import plan_tasks
from unet_engine.errors import DataError
from unet_engine.outlines.suffixes import OUTLINE_SUFFIXES, check_outline_suffix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.cli.options.objects import ObjectsOptions
    from unet_engine.files.inputs import Inputs

_SUFFIX_OF = dict(zip(("imagej", "qupath", "coco"), OUTLINE_SUFFIXES, strict=True))


class ObjectOutlines:
    """The outlines of the masks of a run, a file for each.

    Parameters
    ----------
    options
        Name a file or a folder, and a format.
    sources
        Files, folders and patterns as they were given.
    several
        Whether more than one mask may be meant.

    Raises
    ------
    DataError
        When they would all go to one file, or the name is none of outlines.
    """

    def __init__(
        self, options: ObjectsOptions, sources: Sequence[Path], *, several: bool
    ) -> None:
        self._overwrite = options.overwrite
        self._paths: dict[Path, Path] = {}
        place = options.outlines
        if place is None:
            return
        if not several and place.suffix and not place.is_dir():
            check_outline_suffix(place)
        elif place.suffix.lower() in OUTLINE_SUFFIXES and not place.is_dir():
            raise DataError(
                f"the masks are several and {place} is the name of a file; give a "
                "folder for the outlines, and their format with --outline-format"
            )
        suffix = _SUFFIX_OF[options.outline_format]
        for task in plan_tasks(sources, place, None, suffixes=()):
            into = task.labels if task.labels == place else task.labels.with_suffix("")
            path = into if into == place else into.with_name(f"{into.name}{suffix}")
            self._paths[task.image] = path

    def of(self, mask: Path) -> Path | None:
        """Return where the outlines of a mask go; None when there are to be none."""
        return self._paths.get(mask)

    def holds(self, mask: Path) -> bool:
        """Whether no outlines of a mask are missing."""
        path = self.of(mask)
        return path is None or os.path.lexists(path)

    def check(self, mask: Path, inputs: Inputs) -> None:
        """Make sure that outlines can be written and nothing is lost by it.

        Raises
        ------
        DataError
            When they would replace what is there, or the folder is read-only.
        """
        path = self.of(mask)
        if path is not None:
            inputs.check_apart(path)
            check_place(path)
            check_free(path, overwrite=self._overwrite)
