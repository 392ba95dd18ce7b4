"""Predicts what is on screen with models that are looked at, and shows their masks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.model_views import ViewMask, ViewOrder, region_of, view_run
from napari_unet.results.view_layer import ViewLayer
from napari_unet.viewer.viewport import shown_view
from unet_engine.errors import DataError, EngineError
from unet_engine.models.collection.comparison import agreement_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.collection.comparison import Agreement

_MOST = 24
"""Masks that are kept: of a lineage at two places; of a screen one is a megabyte."""

_NO_IMAGE = "open an image, and choose it under Image in step 1"
_FLAT = "the viewer shows a volume; switch to its 2D display"
_OUTSIDE = "the image is not on screen; move it there"
_BUSY = "a model is at work; wait until that ends"


class ViewMasks(QObject):
    """The masks of models on the present view, each predicted once.

    Parameters
    ----------
    viewer
        Shows them in a layer of its own.
    workspace, form, masks
        The chosen image, the settings of a prediction, and the mask that is hidden
        while another is shown.
    parent
        Ends it.

    Attributes
    ----------
    ready
        The masks that were wanted are there, in the order of the models.
    failed
        Why they are not, a sentence.
    working
        The names of the models that are being predicted.
    """

    ready = Signal(object)
    failed = Signal(str)
    working = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        workspace: Workspace,
        form: PredictionForm,
        masks: Masks,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._workspace = viewer, workspace
        self._form, self._masks = form, masks
        self._layer = ViewLayer(viewer)
        self._kept: dict[Any, npt.NDArray[np.uint8]] = {}
        self._job: Job | None = None
        self._order: ViewOrder | None = None
        self._wanted: tuple[ModelInfo, ...] = ()

    def want(self, *models: ModelInfo) -> None:
        """Have what is on screen predicted with models; another wish replaces it."""
        try:
            order = self._make_order(models)
        except EngineError as error:
            self.failed.emit(_sentence(error))
            return
        self._wanted, self._order = models, order
        missing = tuple(m for m in models if self._key(order, m) not in self._kept)
        if self._job is not None:
            # The end of it begins what is wanted now.
            self._job.stop()
        elif missing:
            self._start(order, missing)
        else:
            self._deliver(order)

    def show(self, labels: npt.NDArray[np.uint8], name: str, classes: int) -> None:
        """Show a mask of the view that was predicted last.

        Parameters
        ----------
        labels
            ``(h, w)`` uint8 class ids.
        name, classes
            Of the layer, and how many classes there are.
        """
        order, source = self._order, self._workspace.layer
        if order is None or source is None:
            return
        _, layout = self._form.chosen_image()
        view = self._masks.current
        self._layer.show(
            labels,
            name,
            classes,
            source=source,
            layout=layout,
            index=order.index,
            region=order.region,
            mask=None if view is None else view.layer,
        )

    def compare(self, one: ViewMask, other: ViewMask) -> Agreement:
        """Return how far two masks of the view agree."""
        return agreement_of(
            one.labels,
            other.labels,
            one.model.spec.classes,
            other.model.spec.classes,
        )

    def clear(self) -> None:
        """Take the layer away, and predict no more."""
        self._wanted = ()
        if self._job is not None:
            self._job.discard()
        self._layer.remove()

    def _make_order(self, models: tuple[ModelInfo, ...]) -> ViewOrder:
        layer = self._workspace.layer
        if layer is None:
            raise DataError(_NO_IMAGE)
        if self._workspace.busy:
            raise DataError(_BUSY)
        if self._viewer.dims.ndisplay != 2:
            raise DataError(_FLAT)
        image, layout = self._form.chosen_image()
        view = shown_view(self._viewer, layer, layout)
        region = region_of(view, image.plane_shape)
        if region is None:
            raise DataError(_OUTSIDE)
        config = self._form.config
        return ViewOrder(
            image=image, models=models, config=config, index=view[0], region=region
        )

    def _start(self, order: ViewOrder, missing: tuple[ModelInfo, ...]) -> None:
        self.working.emit(", ".join(model.name for model in missing))
        limited = ViewOrder(
            image=order.image,
            models=missing,
            config=order.config,
            index=order.index,
            region=order.region,
        )
        self._job = run(
            partial(view_run, limited),
            parent=self,
            hold=lambda: self._workspace.painting(),
            on_events=partial(self._keep, order),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _keep(self, order: ViewOrder, found: list[ViewMask]) -> None:
        for each in found:
            self._kept[self._key(order, each.model)] = each.labels
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def _on_error(self, error: Exception) -> None:
        self._wanted = ()
        self.failed.emit(_sentence(error))

    def _on_finished(self) -> None:
        self._job = None
        order = self._order
        if not self._wanted or order is None:
            return
        missing = tuple(
            m for m in self._wanted if self._key(order, m) not in self._kept
        )
        if missing:
            self._start(order, missing)
        else:
            self._deliver(order)

    def _deliver(self, order: ViewOrder) -> None:
        wanted, self._wanted = self._wanted, ()
        masks = [
            ViewMask(model=model, labels=self._kept[self._key(order, model)])
            for model in wanted
        ]
        self.ready.emit(masks)

    def _key(self, order: ViewOrder, model: ModelInfo) -> Any:
        """Return what a mask depends on."""
        region = tuple((part.start, part.stop) for part in order.region)
        layer = self._workspace.layer
        return model.path, model.size, id(layer), order.config, order.index, region


def _sentence(error: Exception) -> str:
    text = describe_error(error)
    return f"{text[:1].upper()}{text[1:]}."
