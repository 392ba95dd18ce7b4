"""The run of a batch: one image after the other, whatever becomes of each."""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unet_engine.batch.config import BatchConfig
from unet_engine.batch.events import (
    BatchResult,
    ImageDone,
    ImageFailed,
    ImageStarted,
)
from unet_engine.batch.one_image import iter_device, iter_image
from unet_engine.batch.plan import SUMMARY, TABLE
from unet_engine.batch.records import (
    Record,
    Records,
    check_replaceable,
    is_finished,
    overwrite_advice,
)
from unet_engine.batch.tables import (
    join_files,
    summarise,
    write_image_table,
    write_summary,
)
from unet_engine.errors import Cancelled, DataError, DeviceError, SpecError
from unet_engine.failures import describe
from unet_engine.files.atomic import check_writable
from unet_engine.files.inputs import Inputs
from unet_engine.generators import discard, drain
from unet_engine.image_list.fingerprints import digest_of
from unet_engine.images.writing import write_labels
from unet_engine.objects import write_objects
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.batch.events import BatchEvent
    from unet_engine.batch.one_image import ImageResults
    from unet_engine.batch.plan import BatchItem, BatchPlan
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

logger = logging.getLogger(__name__)

_TAGGED_BYTES = 2**26
"""Bytes of labels up to which a TIFF is written at once, with a digest of them."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
"""Of errors after which no further image can be written."""


def run_batch(
    plan: BatchPlan,
    checkpoint: Checkpoint,
    config: BatchConfig | None = None,
    *,
    overwrite: bool = False,
    stop: Stop = never,
    on_event: Callable[[BatchEvent], object] = discard,
) -> BatchResult:
    """Predict images, find and measure their objects, and write what is wanted.

    Images that were finished before with the same model and settings are passed over.
    One that fails is named, and the others are done.

    Parameters
    ----------
    plan
        As ``plan_batch`` makes it.
    checkpoint
        The model.
    config
        What is made of every image.
    overwrite
        Replace results, also those that were changed since or written by others.
    stop
        Polled at every step; ``True`` ends the batch. What is finished stays, and the
        same call goes on there.
    on_event
        Called with every event.

    Raises
    ------
    DataError
        When the folder cannot be written to, by now or any more, or a table is there
        that was not written by a batch.
    DeviceError
        When the device cannot be used, by now or any more. What is finished stays, and
        the same call goes on there.
    SpecError
        When the model has no classes.

    Examples
    --------
    >>> import tifffile
    >>> from skimage.data import coins
    >>> from unet_engine import ModelStore, plan_batch, run_batch
    >>> tifffile.imwrite("coins.tif", coins()[:96, :96])
    >>> plan = plan_batch(["coins.tif"], "out")
    >>> result = run_batch(plan, ModelStore().load("nuclei"))
    >>> result.done, result.table.name, result.summary.name
    (1, 'objects.csv', 'summary.csv')
    """
    run = iter_run_batch(plan, checkpoint, config, overwrite=overwrite, stop=stop)
    return drain(run, on_event)


def iter_run_batch(
    plan: BatchPlan,
    checkpoint: Checkpoint,
    config: BatchConfig | None = None,
    *,
    overwrite: bool = False,
    stop: Stop = never,
) -> Generator[BatchEvent, None, BatchResult]:
    """Run a batch as ``run_batch`` does, and yield what happens."""
    config = config or BatchConfig()
    _check_model(checkpoint, config)
    records = Records(plan.home)
    try:
        _check_tables(records, config, overwrite=overwrite)
        run = _Batch(
            plan=plan,
            checkpoint=checkpoint,
            config=config,
            settings=config.digest(checkpoint),
            records=records,
            inputs=Inputs(item.image for item in plan.items),
            overwrite=overwrite,
            stop=stop,
        )
        return (yield from run.iterate())
    finally:
        records.close()


def _check_model(checkpoint: Checkpoint, config: BatchConfig) -> None:
    if not checkpoint.spec.classes:
        raise SpecError(
            f"{checkpoint.title} restores images and finds no objects; choose a model "
            "with classes"
        )
    count = len(checkpoint.spec.classes)
    if config.boundary is not None and not 1 <= config.boundary < count:
        raise SpecError(
            f"class {config.boundary} cannot be the boundary of this model; choose one "
            f"from 1 to {count - 1}"
        )


def _check_tables(records: Records, config: BatchConfig, *, overwrite: bool) -> None:
    """Refuse to replace tables that were not written by a batch, or changed since."""
    known = records.tables()
    for name in (TABLE, SUMMARY) if config.table else (SUMMARY,):
        path = records.home / name
        check_writable(path)
        if overwrite or not path.exists():
            continue
        if known.get(name) != digest_of(path):
            raise DataError(
                f"{path} is there already and was not written by a batch, or was "
                f"changed since; choose another folder, or {overwrite_advice()}"
            )


@dataclass(slots=True, kw_only=True, eq=False)
class _Batch:
    """A batch that runs.

    Attributes
    ----------
    taken
        Images by the stems of their results.
    """

    plan: BatchPlan
    checkpoint: Checkpoint
    config: BatchConfig
    settings: str
    records: Records
    inputs: Inputs
    overwrite: bool
    stop: Stop
    done: int = 0
    before: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    taken: dict[str, Path] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The results that are written of every image."""
        config = self.config
        given = {"mask": config.masks, "objects": config.objects, "table": config.table}
        return tuple(what for what, is_wanted in given.items() if is_wanted)

    def iterate(self) -> Generator[BatchEvent, None, BatchResult]:
        """Do all images, then the tables."""
        items = self.plan.items
        there = {item.image.parent for item in items if item.image.parent.is_dir()}
        for number, item in enumerate(items, 1):
            if self.stop():
                return self._conclude(complete=False)
            yield ImageStarted(item=item, number=number, total=len(items))
            try:
                yield (yield from self._one(item))
            except Cancelled:
                return self._conclude(complete=False)
            except DeviceError as error:
                raise self._without_device(error) from error
            except Exception as error:
                logger.debug("%s failed", item.image, exc_info=error)
                self.failed[item.image] = reason = describe(error, item.image)
                yield ImageFailed(item=item, reason=reason)
                self._check_disks(item, there, error)
        return self._conclude(complete=True)

    def _one(self, item: BatchItem) -> Generator[BatchEvent, None, ImageDone]:
        """Do one image, unless that was done before."""
        other = self.taken.setdefault(item.stem, item.image)
        if other != item.image:
            raise DataError(
                f"{item.image} and {other} would have the same results; give one of "
                "them another name, or run them in two batches"
            )
        if not self.overwrite and is_finished(
            self.records, item, self.settings, self.wanted
        ):
            self.before += 1
            return self._done(item, before=True)
        self._check(item)
        # First: a change in between must not go unnoticed.
        record = self._record(item, digest_of(item.image))
        device, worked = self.config.prediction.device, self.done > 0
        yield from iter_device(item, self.checkpoint, device, self.stop, worked=worked)
        found = yield from iter_image(item, self.checkpoint, self.config, self.stop)
        self._write(item, record, found)
        self.done += 1
        return self._done(item, before=False)

    def _check(self, item: BatchItem) -> None:
        """Make sure that the results of an image can be written."""
        for what in self.wanted:
            if what != "table":
                self.inputs.check_apart(item.result(what))
        if not self.overwrite:
            check_replaceable(item, self.records.get(item.stem), self.wanted)
        self.records.make_folder(item.place.parent)
        check_writable(item.place.with_name(f"{item.place.name}.tif"))

    def _record(self, item: BatchItem, digest: str) -> Record:
        return Record(
            image=str(item.image),
            digest=digest,
            settings=self.settings,
            name=item.name,
            condition=item.condition,
            results=dict.fromkeys(self.wanted, ""),
        )

    def _write(self, item: BatchItem, record: Record, found: ImageResults) -> None:
        """Write the results of an image, and then that they are there."""
        self.records.put(item.stem, record)
        if self.config.masks:
            _write_ids(item.result("mask"), found.labels, found.image)
        if self.config.objects and found.objects is not None:
            _write_ids(item.result("objects"), found.objects.labels, found.image)
        if found.table is not None:
            write_image_table(self.records.rows_of(item.stem), found.table, item)
        classes = self.checkpoint.spec.classes
        places = {what: self.records.place_of(item, what) for what in self.wanted}
        record = replace(
            record,
            results={what: digest_of(path) for what, path in places.items()},
            objects=_count(found),
            summary=summarise(item, found.labels, classes, found.table),
            notes=found.notes,
        )
        self.records.put(item.stem, record)

    def _done(self, item: BatchItem, *, before: bool) -> ImageDone:
        record = self.records.get(item.stem)
        return ImageDone(
            item=item,
            objects=None if record is None else record.objects,
            before=before,
            results=tuple(item.result(w) for w in self.wanted if w != "table"),
            notes=() if record is None or before else record.notes,
        )

    def _check_disks(self, item: BatchItem, there: set[Path], error: Exception) -> None:
        """End the batch where no further image could be done.

        Raises
        ------
        DataError
            When the folder of the images is gone, or no result can be written any more.
        """
        count = f"{self.done + self.before} of {len(self.plan.items)} images are done"
        if item.image.parent in there and not item.image.parent.is_dir():
            raise DataError(
                f"the folder {item.image.parent} is not there any more; connect the "
                f"disk again and start the batch again: {count}, and are kept"
            ) from error
        full = _has_no_room(error)
        with suppress(DataError):
            # Only what is in this folder is needed of the disk of the results.
            self.records.make_folder(self.records.folder)
            check_writable(self.records.folder / "room")
            if not full:
                return
        what = "has no free space" if full else "cannot be written to any more"
        raise DataError(
            f"{self.plan.home} {what}; mend that and start the batch again: {count}, "
            "and are kept"
        ) from error

    def _without_device(self, error: DeviceError) -> DeviceError:
        """Return the error that ends the batch, after the tables of what is there."""
        done = self.done + self.before
        if not done:
            return error
        self._conclude(complete=False)
        return DeviceError(
            f"{error}; {done} of {len(self.plan.items)} images are done, and are kept: "
            "started again, the batch goes on with the others"
        )

    def _conclude(self, *, complete: bool) -> BatchResult:
        """Write the tables of what is there."""
        result = BatchResult(
            done=self.done,
            before=self.before,
            total=len(self.plan.items),
            complete=complete,
            failed=dict(self.failed),
        )
        if not self.done + self.before:
            return result
        own = [item.stem for item in self.plan.items]
        failed = {i.stem for i in self.plan.items if i.image in self.failed}
        stems = dict(self.records.all())
        kept = {
            stem: record
            for stem in dict.fromkeys((*own, *stems))
            if (record := stems.get(stem)) is not None
            and stem not in failed
            and record.settings == self.settings
            and all(record.results.get(what) for what in self.wanted)
        }
        table = self._write_table(list(kept)) if self.config.table else (None, 0)
        summary = self.plan.home / SUMMARY
        write_summary(summary, [row for r in kept.values() for row in r.summary])
        self.records.note_table(summary)
        return replace(
            result,
            table=table[0],
            objects=table[1],
            summary=summary,
            earlier=len(set(kept) - set(own)),
        )

    def _write_table(self, stems: list[str]) -> tuple[Path, int]:
        path = self.plan.home / TABLE
        count = join_files(path, [self.records.rows_of(stem) for stem in stems])
        self.records.note_table(path)
        return path, count


def _write_ids(path: Path, labels: npt.NDArray[Any], image: Image) -> None:
    """Write class or object ids; large ones tile by tile."""
    if labels.nbytes < _TAGGED_BYTES:
        write_labels(path, labels, image=image, replaceable=True)
    else:
        write_objects(path, labels, image)


def _count(found: ImageResults) -> int | None:
    return None if found.objects is None else int(found.objects.classes.size)


def _has_no_room(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False
