"""Batches: many images become masks, objects and one table, one image after the other.

`config` is what is wanted of every image, `plan` which images there are and where their
results go, `one_image` what is done with one of them, `records` what was done, beside
the results, so that a later run goes on there, `tables` the table of all objects and
the summary, and `running` the run, a generator of `events`. An image that fails is
named, and the others are done.
"""

from unet_engine.batch.config import BatchConfig
from unet_engine.batch.events import (
    BatchEvent,
    BatchResult,
    ImageDone,
    ImageFailed,
    ImageProgress,
    ImageStarted,
)
from unet_engine.batch.plan import BatchItem, BatchPlan, plan_batch
from unet_engine.batch.running import iter_run_batch, run_batch

__all__ = [
    "BatchConfig",
    "BatchEvent",
    "BatchItem",
    "BatchPlan",
    "BatchResult",
    "ImageDone",
    "ImageFailed",
    "ImageProgress",
    "ImageStarted",
    "iter_run_batch",
    "plan_batch",
    "run_batch",
]
