"""``UncertaintyLayer``: how uncertain the prediction on screen is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import QObject

from napari_unet.jobs.uncertainty_search import EDGE
from napari_unet.viewer.conversion import mask_indices
from napari_unet.viewer.screen_layer import ScreenLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.uncertainty_map import Tile, UncertainPart
    from napari_unet.results.mask import MaskView
    from napari_unet.viewer.screen_layer import ScreenPart
    from unet_engine.places import Index, Region

    Values = npt.NDArray[np.uint8]

_OPACITY = 0.7
"""From 0 to 1: the image shows through."""


class UncertaintyLayer(QObject):
    """An image layer with the uncertainty of the prediction on screen.

    Parameters
    ----------
    viewer
        Gets the layer.
    view
        The mask on whose pixels it lies.
    parent
        Ends it.
    painting
        Returns whether a stroke is being drawn.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        view: MaskView,
        parent: QObject,
        *,
        painting: Callable[[], bool],
    ) -> None:
        super().__init__(parent)
        self._layout = view.working_image.layout
        self._shape = view.working_image.mask.shape[-2:]
        self._tiles: dict[Tile, Values] = {}
        self._screen = ScreenLayer(
            viewer,
            view.layer,
            partial(
                ImageLayer,
                name=f"{view.source.name} uncertainty",
                colormap="inferno",
                contrast_limits=(0, 255),
                blending="additive",
                opacity=_OPACITY,
            ),
            self._compose,
            dtype=np.uint8,
            parent=self,
            painting=painting,
        )

    @property
    def layer(self) -> Any:
        """The layer."""
        return self._screen.layer

    def write(self, parts: list[UncertainPart]) -> None:
        """Show what was computed."""
        for part in parts:
            for tile, inside, there in self._cells(part.index, part.region):
                if tile not in self._tiles:
                    self._tiles[tile] = np.zeros((EDGE, EDGE), np.uint8)
                self._tiles[tile][inside] = part.values[there]
        self._screen.request()

    def missing(self) -> list[Tile]:
        """Return the tiles on screen that are not computed, the middle ones first."""
        part = self._screen.find_part(margin=0)
        if part is None:
            return []
        index = self._index(part)
        tiles = [tile for tile, *_ in self._cells(index, part.region)]
        middle = [(p.start + p.stop) / 2 / EDGE - 0.5 for p in part.region]
        return sorted(
            (tile for tile in tiles if tile not in self._tiles),
            key=lambda t: (t[1] - middle[0]) ** 2 + (t[2] - middle[1]) ** 2,
        )

    def forget(self) -> None:
        """Drop what was computed: the prediction is another one now."""
        self._tiles.clear()

    def remove(self) -> None:
        """Take the layer away."""
        self._screen.remove()
        self.deleteLater()

    def _index(self, part: ScreenPart) -> Index:
        return tuple(mask_indices(part.leading, self._layout))

    def _compose(self, part: ScreenPart) -> Values:
        rows, columns = part.region
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        values = np.zeros(shape, np.uint8)
        for tile, inside, there in self._cells(self._index(part), part.region):
            if tile in self._tiles:
                values[there] = self._tiles[tile][inside]
        return values[:: part.step, :: part.step]

    def _cells(
        self, index: Index, region: Region
    ) -> Iterator[tuple[Tile, Region, Region]]:
        """Yield the tiles of a region: where it is in the tile, and the reverse."""
        rows, columns = (range(p.start // EDGE, -(-p.stop // EDGE)) for p in region)
        for row in rows:
            for column in columns:
                spans = [
                    (max(p.start, at * EDGE), min(p.stop, (at + 1) * EDGE))
                    for p, at in zip(region, (row, column), strict=True)
                ]
                inside, there = (
                    tuple(
                        slice(a - begin, b - begin)
                        for (a, b), begin in zip(spans, begins, strict=True)
                    )
                    for begins in (
                        (row * EDGE, column * EDGE),
                        (region[0].start, region[1].start),
                    )
                )
                yield (
                    (index, row, column),
                    (inside[0], inside[1]),
                    (there[0], there[1]),
                )
