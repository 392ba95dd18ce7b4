"""What the button "Next" runs in a thread: where is a prediction least certain?

No Qt, layer or widget; torch and scikit-learn are imported in the thread.
"""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice, product
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from unet_engine.errors import Cancelled
from unet_engine.interactive.where_to_look import (
    CELL,
    Suggestion,
    Survey,
    entropy,
    rank_suggestions,
    sample_tiles,
)
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.outputs import DiscardedOutput

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Sequence

    from napari_unet.jobs.live_session import LiveSession
    from napari_unet.jobs.orders import LiveOrder
    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.places import Index
    from unet_engine.stopping import Stop


EDGE = 2 * CELL
"""Pixels of an edge of a tile: two cells of the survey."""
_SECONDS = 3.0
"""Time to search, after learning; a first tile is always predicted."""
_MOST = 12
"""Places of one search at most; the next ones are searched when they are needed."""
_MOST_TILES = 256
"""Tiles of one search at most, on a fast device too."""


def search_run(
    order: LiveOrder,
    session: LiveSession,
    workspace: Workspace,
    shown: Collection[Suggestion],
    stop: Stop,
) -> Generator[None, None, list[Suggestion]]:
    """Predict the view and around it, then anywhere, while there is time.

    By the instant learner if there are strokes of two classes, else by the model.

    Parameters
    ----------
    order
        ``learn`` is whether there are strokes of two classes.
    session
        What Live has learned.
    workspace
        Has the models.
    shown
        Places that are not to be returned again.
    stop
        Ends the search; what was found is returned.

    Returns
    -------
    list of Region
        The most uncertain places, the first one first.
    """
    load_torch()
    yield
    survey = Survey(order.working_image.image.plane_shape)
    places = _places(order, seed=len(shown))
    tiles = predicted_tiles(order, session, workspace, places, stop)
    try:
        _survey_tiles(order, survey, tiles, stop)
    except Cancelled:
        return []
    return rank_suggestions(survey, _MOST, skip=shown)


def _survey_tiles(
    order: LiveOrder,
    survey: Survey,
    tiles: Generator[TileDone, None, None],
    stop: Stop,
) -> None:
    deadline = 0.0
    with closing(tiles):
        for tile in tiles:
            deadline = deadline or time.monotonic() + _SECONDS
            survey_tile(survey, tile, order.working_image.annotations)
            if stop() or time.monotonic() > deadline:
                return


def survey_tile(
    survey: Survey, tile: TileDone, annotations: Annotations | None = None
) -> None:
    """Add the planes of a tile: one, or those of a volume.

    Parameters
    ----------
    survey
        Of the image.
    tile
        With probabilities.
    annotations
        What was painted, where nothing is uncertain; None for nothing.
    """
    assert tile.probabilities is not None
    *depths, rows, columns = tile.inner
    uncertainty = entropy(tile.probabilities)
    for offset in product(*(range(d.stop - d.start) for d in depths)):
        deeper = (d.start + o for d, o in zip(depths, offset, strict=True))
        index = (*tile.index, *deeper)
        inner = (rows, columns)
        touched = None if annotations is None else annotations.touched(index, inner)
        survey.add(index, inner, uncertainty[offset], touched)


def _places(order: LiveOrder, seed: int) -> Iterator[tuple[Index, slice, slice]]:
    image = order.working_image.image
    index, middle, _ = order.current_view()
    near = (index, *middle)
    places = sample_tiles(
        image.leading_shape, image.plane_shape, edge=EDGE, near=near, seed=seed
    )
    return islice(places, _MOST_TILES)


def predicted_tiles(
    order: LiveOrder,
    session: LiveSession,
    workspace: Workspace,
    places: Iterable[tuple[Index, slice, slice]],
    stop: Stop,
) -> Generator[TileDone, None, None]:
    """Predict places with probabilities, by what Live learned or by the model.

    Parameters
    ----------
    order
        ``learn`` is whether there are strokes of two classes: those count then.
    session
        What Live has learned.
    workspace
        Has the models.
    places
        Planes, rows and columns.
    stop
        Polled before every tile.
    """
    if order.learn:
        yield from _learned_tiles(order, iter(places), session, stop)
    else:
        yield from _predicted_tiles(order, tuple(places), workspace, stop)


def _learned_tiles(
    order: LiveOrder,
    places: Iterator[tuple[Index, slice, slice]],
    session: LiveSession,
    stop: Stop,
) -> Generator[TileDone, None, None]:
    with session.lock:
        source = session.prepare(order, stop)
        session.learn(order, stop)
        assert session.learner is not None
        for index, *region in places:
            yield from session.learner.iter_predict(source, index, region, stop=stop)


def _predicted_tiles(
    order: LiveOrder,
    places: Sequence[tuple[Index, slice, slice]],
    workspace: Workspace,
    stop: Stop,
) -> Generator[TileDone, None, None]:
    from unet_engine.prediction.segmentation import iter_predict

    assert order.model is not None
    checkpoint = workspace.checkpoint(order.model, stop)
    # Called once for the grid of the tiles, then before each of them.
    ahead = iter([places[0], *places])

    def near() -> tuple[tuple[int, ...], tuple[float, float]] | None:
        place = next(ahead, None)
        if place is None:
            return None
        index, rows, columns = place
        return index, ((rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2)

    planes = tuple(sorted({index for index, *_ in places}))
    working_image = order.working_image
    normalisation = working_image.normalisation(checkpoint.spec, stop)
    config = PredictConfig(
        tile=EDGE,
        probabilities=True,
        device=workspace.device,
        object_size=workspace.object_size,
    )
    config = working_image.object_sizes.settled(
        working_image.image, checkpoint, config, normalisation, stop
    )
    for tile in iter_predict(
        working_image.image,
        checkpoint,
        config,
        stop=stop,
        normalisation=normalisation,
        indices=planes if checkpoint.spec.ndim == 2 else None,
        near=near,
        into=DiscardedOutput(),
    ):
        if isinstance(tile, TileDone):
            yield tile
