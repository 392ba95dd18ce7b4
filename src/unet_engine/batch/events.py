"""What a batch yields while it works, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from unet_engine.batch.plan import BatchItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStarted:
    """Work on an image begins.

    Attributes
    ----------
    item
        The image.
    number, total
        Which of how many it is, from 1.
    """

    item: BatchItem
    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProgress:
    """How far the work on an image is.

    Attributes
    ----------
    item
        The image.
    what
        What is done: ``"predicting"``, ``"finding objects"``, ``"measuring"``;
        ``"connecting"``, ``"reconnecting"`` where workers predict.
    done, total
        Steps of that.
    """

    item: BatchItem
    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDone:
    """The results of an image are there.

    Attributes
    ----------
    item
        The image.
    objects
        How many it has; None when none were looked for.
    before
        They were there already, of the same image, model and settings.
    results
        The files of the image.
    notes
        What the user should know, one sentence each.
    """

    item: BatchItem
    objects: int | None
    before: bool
    results: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFailed:
    """There are no results of an image; the batch goes on.

    Attributes
    ----------
    item
        The image.
    reason
        What is wrong and what to do, in one line.
    """

    item: BatchItem
    reason: str


BatchEvent = ImageStarted | ImageProgress | ImageDone | ImageFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """How a batch ended.

    Attributes
    ----------
    done, before
        Images that were worked on, and those that were finished before.
    failed
        Why there are no results of an image, by its path.
    total
        Images of the batch.
    complete
        False when it was stopped.
    table, summary
        The files that were written, or None.
    objects
        How many the table has.
    earlier
        Images in the table that were done in earlier runs and are not of this one.
    """

    done: int
    before: int
    total: int
    complete: bool
    failed: Mapping[Path, str] = field(default_factory=dict)
    table: Path | None = None
    summary: Path | None = None
    objects: int = 0
    earlier: int = 0
