"""Which images and labels of a run belong together, and which have no partner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images import match_folders, pair_folders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.cli.files.batch import Batch
    from unet_engine.cli.options.data import DataOptions

    Pair = tuple[Path, Path]


def paired_files(options: DataOptions, batch: Batch | None = None) -> Sequence[Pair]:
    """Return images and labels in natural order.

    Parameters
    ----------
    options
        With ``images``, ``labels`` and ``range``.
    batch
        Takes the files without a partner, each as a failure of its own, unless a range
        counts the pairs: without one of them it would mean others. None to refuse them.

    Raises
    ------
    DataError
        When there is no pair, or a file has no partner and nobody takes it.
    """
    images, labels = options.images, options.labels
    if images is None or labels is None:
        raise DataError("give --images and --labels, both as files or both as folders")
    one, other = images.is_file(), labels.is_file()
    if one != other and images.exists() and labels.exists():
        file, folder = sorted([images, labels], key=Path.is_dir)
        raise DataError(
            f"{file} is a file and {folder} a folder; give --images and --labels both "
            "as files or both as folders"
        )
    files: Sequence[Pair]
    if one:
        files = [(images, labels)]
    elif batch is None or options.range is not None:
        files = pair_folders(images, labels)
    else:
        files = _pair_some(images, labels, batch)
    if os.path.realpath(images) == os.path.realpath(labels):
        raise DataError(f"images and labels are both {images}; keep them apart")
    return files


def chosen_pairs(files: Sequence[Pair], which: slice | None) -> Sequence[Pair]:
    """Return those that ``--range`` means.

    Raises
    ------
    DataError
        When it means none.
    """
    chosen = files if which is None else files[which]
    if not chosen:
        raise DataError(
            f"--range selects none of the {len(files)} pairs; they are counted from 0"
        )
    return chosen


def _pair_some(images: Path, labels: Path, batch: Batch) -> Sequence[Pair]:
    """Pair what pairs, and report the rest."""
    found = match_folders(images, labels)
    if not found.pairs:
        return pair_folders(images, labels)
    lines = found.reasons(images, labels)
    for path, line in lines.items():
        batch.report(path, line)
    batch.total += len(lines)
    return found.pairs
