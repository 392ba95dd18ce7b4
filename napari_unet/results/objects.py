"""Objects of a mask as a Labels layer, whose features are their measurements."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from napari_unet.results.correction_recorder import CorrectionRecorder
from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.conversion import layer_view, pixel_size_of, placement
from napari_unet.viewer.placement import follow_placement
from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.objects.editing import delete_objects, merge_objects, split_objects

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.objects import FoundObjects, Table
    from napari_unet.results.mask import MaskView
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import Index, PlaneRegion

EditKind = Literal["split", "merge", "delete"]
"""What a line across objects does to them."""

_OLD_MASK = "You worked on the mask since then; separate again to follow it."
_OLD_IDS = "You changed the objects since then; measure them with the method keep."


class ObjectsView:
    """The objects of a mask as a layer.

    Parameters
    ----------
    layer
        Shows their ids.
    working_image
        Whose mask they were found in.
    found
        The objects.

    Attributes
    ----------
    table
        Their measurements, as the engine made them.
    corrected
        The user changed the objects; nothing may replace them any more.
    outdated
        Why the table is not that of what is on screen; empty when it is.
    recorder
        Records what is corrected.
    edits
        How many corrections there were, those that were undone counted again.
    edited
        Planes and regions in which objects were corrected, or a correction undone.
    """

    edited = Signal(object)

    def __init__(
        self, layer: Labels, working_image: WorkingImage, found: FoundObjects
    ) -> None:
        self.layer = layer
        self.working_image = working_image
        self.corrected = False
        self.edits = 0
        self.measure(found)
        self.recorder = CorrectionRecorder(
            layer, working_image, self.ndim, self._on_recorded
        )
        layer.events.paint.connect(self._on_corrected)
        layer.events.data.connect(self._on_corrected)

    @property
    def ids(self) -> npt.NDArray[Any]:
        """The ids as they are now, ``(*leading, Y, X)``.

        Raises
        ------
        DataError
            When the layer was given data of another shape.
        """
        if self._view(self.working_image.mask).shape != tuple(self.layer.data.shape):
            raise DataError(
                f"{self.layer.name!r} no longer fits the mask; delete that layer and "
                "separate the objects again"
            )
        return np.reshape(self.layer.data, self.working_image.mask.shape)

    @property
    def named_image(self) -> Image:
        """The ids as an image with the axes and the pixel size of the layer.

        Raises
        ------
        DataError
            When the layer was given data of another shape.
        """
        layout = self.working_image.layout
        kept = "".join(axis for axis in layout.axes if axis not in "CS")
        source = self.working_image.image.name
        size = self.working_image.image.pixel_size
        return Image.from_array(self.ids, kept, name=source, pixel_size=size)

    @property
    def ndim(self) -> int:
        """In how many dimensions an object extends."""
        volume = self.working_image.layout.leading.endswith("Z")
        return 3 if volume and "z" not in self.table else 2

    def edit(
        self, kind: EditKind, index: Index, points: npt.NDArray[np.float64]
    ) -> bool:
        """Split, merge or delete objects, as one item of napari's history.

        Parameters
        ----------
        kind
            What to do.
        index
            Position along the leading axes.
        points
            ``(n, 2)`` rows and columns of the line that was drawn.

        Returns
        -------
        bool
            Whether anything was changed.

        Raises
        ------
        DataError
            When the layer has no room for further ids, or other data than it had.
        """
        through = self.ndim - 2
        lead = index[: len(index) - through]
        ids = np.asarray(self.ids[lead])
        at = index[-1] if through else 0
        if kind == "split":
            edit = split_objects(ids, points, at=at, first_new=self.free_id)
        else:
            make = {"merge": merge_objects, "delete": delete_objects}[kind]
            edit = make(ids, points, at=at)
        if edit is None:
            return False
        fixed = [np.full_like(edit.where[0], i) for i in lead]
        where = [*fixed, *edit.where]
        stretched = self.working_image.layout.stretched_axis
        if stretched is not None:
            where.insert(stretched, np.zeros_like(edit.where[0]))
        with self.layer.block_history():
            self.layer.data_setitem(tuple(where), edit.ids)
        return True

    @property
    def free_id(self) -> int:
        """An id that no object has."""
        return int(np.max(self.layer.data, initial=0)) + 1

    def replace(self, found: FoundObjects) -> None:
        """Show other objects of the same mask."""
        self.recorder.forget_history()
        with self.layer.events.data.blocker(self._on_corrected):
            self.layer.data = self._view(found.labels)
        self.measure(found)

    def measure(self, found: FoundObjects) -> None:
        """Take the measurements of the ids that the layer shows."""
        self.table: Table = found.table
        self.layer.features = features_of(found.table)
        self.outdated = ""

    def outdate(self) -> None:
        """Note that the mask is another one now."""
        self.outdated = self.outdated or _OLD_MASK

    def _on_corrected(self, *_: Any) -> None:
        self.corrected = True
        self.outdated = _OLD_IDS

    def _on_recorded(self, places: list[PlaneRegion]) -> None:
        self._on_corrected()
        self.edits += 1
        self.edited.emit(places)

    def _view(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return layer_view(array, self.working_image.layout)


class ObjectLayers:
    """The objects of a viewer, for a dock that is opened again.

    Attributes
    ----------
    views
        Of each image layer.
    """

    def __init__(self) -> None:
        self.views: WeakKeyDictionary[Any, ObjectsView] = WeakKeyDictionary()


def hand_over(viewer: ViewerModel, source: Any, other: Any) -> None:
    """Make the objects also those of another image layer with the same pixels."""
    views = of_viewer(viewer, ObjectLayers).views
    if source in views:
        views[other] = views[source]


def objects_of(viewer: ViewerModel, source: Any) -> ObjectsView | None:
    """Return the objects of an image layer, unless the user deleted their layer."""
    view = None
    if source is not None:
        view = of_viewer(viewer, ObjectLayers).views.get(source)
    return view if view is not None and view.layer in viewer.layers else None


def source_of_objects(viewer: ViewerModel, layer: Any) -> Any:
    """Return the image layer that a layer of objects belongs to, or None."""
    views = of_viewer(viewer, ObjectLayers).views
    return next((s for s, view in views.items() if view.layer is layer), None)


def show_objects(viewer: ViewerModel, mask: MaskView, found: FoundObjects) -> None:
    """Show objects in the layer of earlier ones, or in a new one above the mask.

    What the user corrected by hand stays, and so does what is of another mask.
    """
    view = objects_of(viewer, mask.source)
    if (
        view is not None
        and view.working_image is mask.working_image
        and not view.corrected
    ):
        view.replace(found)
        return
    layer = Labels(
        layer_view(found.labels, mask.working_image.layout),
        name=f"{mask.source.name} objects",
        opacity=0.7,
        **placement(mask.source, mask.working_image.layout),
    )
    follow_placement(
        mask.source, layer, partial(placement, layout=mask.working_image.layout)
    )
    # With its measurements before the viewer emits its insertion.
    views = of_viewer(viewer, ObjectLayers).views
    views[mask.source] = ObjectsView(layer, mask.working_image, found)
    # What shows the touched pixels is above the mask and would cover them.
    viewer.layers.insert(max(map(viewer.layers.index, mask.layers)) + 1, layer)
    viewer.layers.selection.active = layer


def features_of(table: Table) -> Table:
    """Return a table as napari shows it: sizes before places, ids as ``index``."""
    places = [name for name in table if _is_place(name)]
    rest = [name for name in table if name != "label" and name not in places]
    return {"index": table["label"], **{name: table[name] for name in rest + places}}


def _is_place(name: str) -> bool:
    return (
        len(name) == 1
        or name.startswith("centroid ")
        or name.endswith((" start (px)", " stop (px)"))
    )


def pixel_size_um(source: Any, layout: Layout, ndim: int) -> tuple[float, ...] | None:
    """Return the size of a pixel along the last axes in µm; None without units."""
    return pixel_size_of(source, layout).lengths("ZYX"[-ndim:])


def size_note(source: Any, layout: Layout, ndim: int) -> str:
    """Return why a layer states no size that counts; empty when there is no reason."""
    size = pixel_size_of(source, layout)
    return size.note if size.lengths("ZYX"[-ndim:]) is None else ""
