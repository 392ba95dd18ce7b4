"""What is ordered on the main thread from what is on screen, for the runs in threads.

Orders are frozen: a run works on the state at its start, whatever changes meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Set

    from napari_unet.state.live_state import Tile
    from napari_unet.state.model_so_far import ModelSoFar
    from napari_unet.state.related_image import RelatedImage
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image
    from unet_engine.objects import ObjectConfig, SemanticMask
    from unet_engine.places import Index, Place, Region, View
    from unet_engine.prediction.config import PredictConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionOrder:
    """What a prediction needs.

    Attributes
    ----------
    layer
        The image layer; only to check whether a result is still wanted.
    working_image, model, config
        What, by which model, and how.
    indices
        Planes to predict; None for all.
    near
        Returns the place on screen, before every tile; must not touch Qt.
    preview
        What of a smaller level comes first; None when the finest is on screen.
    """

    layer: Any
    working_image: WorkingImage
    model: Model | ModelSoFar
    config: PredictConfig
    indices: tuple[Index, ...] | None
    near: Callable[[], Place | None]
    preview: PreviewOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenoisingOrder:
    """What denoising needs.

    Attributes
    ----------
    layer
        The image layer; only to check whether a result is still wanted.
    image, layout
        What, and the meaning of its layer's axes.
    model, config, indices, near
        As in a `PredictionOrder`.
    """

    layer: Any
    image: Image
    layout: Layout
    model: Model
    config: PredictConfig
    indices: tuple[Index, ...] | None
    near: Callable[[], Place | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreviewOrder:
    """A part of a smaller level of an image that is to be predicted first.

    Attributes
    ----------
    level
        The level on screen, as an image.
    bright
        A level of which the brightness is quickly measured.
    index, inside
        The plane of the image, and that of the level.
    region
        Rows and columns of the level that are on screen.
    factor
        Pixels of full resolution that a pixel of the level is wide, ``(y, x)``.
    """

    level: Image
    bright: Image
    index: Index
    inside: Index
    region: Region
    factor: tuple[float, float]

    @property
    def text(self) -> str:
        """What is going on, for the user."""
        return f"Preview at 1/{round(max(self.factor))} resolution…"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveOrder:
    """What a run of Live needs.

    Attributes
    ----------
    working_image
        The image on screen.
    painted
        All images with strokes, and a copy of those.
    related
        Images that are not open, and a copy of their strokes.
    model
        The chosen model, or None.
    classes
        Their names, in the order of the values of the mask on screen.
    learn
        There are strokes that were not learned from.
    current_view
        Returns what is on screen; must not touch Qt.
    near
        ``(y, x)`` of the stroke; the middle of the screen if it is None.
    fresh
        Tiles that need no prediction: plane, first row, first column.
    """

    working_image: WorkingImage
    painted: tuple[tuple[WorkingImage, Annotations], ...]
    related: tuple[tuple[RelatedImage, Annotations], ...]
    model: Model | None
    classes: tuple[str, ...]
    learn: bool
    current_view: Callable[[], View]
    near: tuple[float, float] | None
    fresh: Set[Tile]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectsOrder:
    """What a separation of objects needs.

    Attributes
    ----------
    layer
        The image layer; only to check whether a result is still wanted.
    image
        What the brightness is measured in.
    mask
        Class ids, or object ids that are kept.
    config
        How objects are found.
    scale
        Of a pixel along the axes of an object in µm, if it is known.
    axes
        A letter for each axis of the mask.
    classes
        Names of all classes.
    corrected
        A copy of what was corrected of the objects, which stays as it was corrected;
        None where nothing was, or ids are kept.
    """

    layer: Any
    image: Image
    mask: SemanticMask
    config: ObjectConfig
    scale: tuple[float, ...] | None
    axes: str
    classes: tuple[str, ...]
    corrected: Annotations | None = None
