"""The report of a list of images, gathered in a thread. No Qt, layer or widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from unet_engine.devices import Device
    from unet_engine.image_list.image_list import ImageList
    from unet_engine.models.store import ModelStore
    from unet_engine.prediction.config import ObjectSize
    from unet_engine.project_report.contents import ReportDone
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportOrder:
    """What is reported.

    Attributes
    ----------
    images
        The list.
    store
        Has its model.
    device, object_size
        How its pictures are predicted.
    """

    images: ImageList
    store: ModelStore
    device: Device
    object_size: ObjectSize


def report_run(order: ReportOrder, stop: Stop) -> Generator[ReportDone, None, str]:
    """Gather a report; return its page as HTML."""
    # What predicts pictures imports torch, which takes seconds in the main thread.
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.project_report.page import report_page
    from unet_engine.project_report.project import iter_report

    config = PredictConfig(device=order.device, object_size=order.object_size)
    report = yield from iter_report(order.images, order.store, config=config, stop=stop)
    return report_page(report)
