"""What runs in a thread: a batch, which may be paused. No Qt or widget."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.jobs.job import load_torch
from unet_engine.batch import BatchPlan, plan_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_unet.state.workspace import Workspace
    from unet_engine.batch import BatchConfig, BatchEvent, BatchResult
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop

_WAIT_S = 0.05
"""Seconds between two looks at whether a batch goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """What a batch does.

    Attributes
    ----------
    sources
        Files and folders.
    out
        Folder for the results; None: beside the images.
    model, config
        What is done with them.
    overwrite
        Make all results anew.
    """

    sources: tuple[Path, ...]
    out: Path | None
    model: ModelInfo
    config: BatchConfig
    overwrite: bool = False


def batch_run(
    order: BatchOrder,
    workspace: Workspace,
    paused: Callable[[], bool],
    stop: Stop,
) -> Generator[BatchPlan | BatchEvent, None, BatchResult]:
    """Run a batch; the plan comes first.

    While ``paused`` returns True, polled at every step, nothing is done.
    """
    plan = plan_batch(order.sources, order.out)
    yield plan
    load_torch()
    from unet_engine.batch import iter_run_batch

    checkpoint = workspace.checkpoint(order.model, stop)
    run: Generator[Any, None, BatchResult] = iter_run_batch(
        plan, checkpoint, order.config, overwrite=order.overwrite, stop=stop
    )
    while True:
        while paused() and not stop():
            time.sleep(_WAIT_S)
        try:
            event = next(run)
        except StopIteration as end:
            result: BatchResult = end.value
            return result
        yield event
