"""What the switch "Live" runs in a thread: learn from the strokes, predict the view.

No Qt, layer or widget.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from unet_engine.errors import Cancelled
from unet_engine.remote.connection import LineLostError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Set

    from napari_unet.jobs.live_session import Learned, LiveSession
    from napari_unet.jobs.orders import LiveOrder
    from napari_unet.state.live_state import Tile
    from unet_engine.interactive.learner import InstantLearner
    from unet_engine.interactive.remote.learner import RemoteLearner
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region, View
    from unet_engine.prediction.events import TileDone
    from unet_engine.stopping import Stop

log = logging.getLogger(__name__)

_MOST_TILES = 144
"""Most tiles of 128 pixels that are predicted of a view: what the features that are
kept suffice for. Of a larger view it is those around the stroke."""


@dataclass(frozen=True, slots=True)
class ViewPredicted:
    """All on screen is predicted, by the strokes on images that are open at least."""


def live_run(
    order: LiveOrder, session: LiveSession, stop: Stop
) -> Generator[Learned | TileDone | ViewPredicted, None, bool]:
    """Learn if need be, then predict what is on screen for as long as any is missing.

    Without a learner the features of the view are computed: the first stroke then
    finds them.

    Returns
    -------
    bool
        False when it was stopped before the end.
    """
    load_torch()
    with session.lock:
        try:
            source = session.prepare(order, stop)
            if order.learn:
                yield session.learn(order, stop)
        except Cancelled:
            return False
        try:
            complete = yield from _predict_view(order, session, source, stop)
        except LineLostError as error:
            log.info("Live goes on here: %s", error)
            session.lose_remote()
            yield session.learn(order, stop)
            order = replace(order, fresh=frozenset())
            complete = yield from _predict_view(order, session, source, stop)
        if not complete or session.learner is None:
            return complete
        yield ViewPredicted()
        try:
            if not session.make_ready(order, stop):
                return True
            learned = session.learn(order, stop)
        except Cancelled:
            return False
        yield learned
        again = replace(order, fresh=frozenset())
        return (yield from _predict_view(again, session, source, stop))


def save_run(
    name: str, order: LiveOrder, session: LiveSession, store: ModelStore, stop: Stop
) -> Generator[None, None, ModelInfo]:
    """Save what was learned as a model of a name that is free.

    Raises
    ------
    EngineError
        When nothing was learned, or the model cannot be saved.
    """
    load_torch()
    with session.lock:
        model = session.model(order)
    yield
    return store.save(store.free_name(name), model)


def _predict_view(
    order: LiveOrder, session: LiveSession, source: FeatureCache, stop: Stop
) -> Generator[TileDone, None, bool]:
    fresh, near = set(order.fresh), order.near
    while True:
        view = order.current_view()
        tiles = _missing(source, view, near, fresh)
        if not tiles:
            return True
        for group in _grouped(tiles, session.learner):
            if stop():
                return False
            if order.current_view() is not view:
                near = None
                break
            if not (yield from _predict(session, source, view[0], group, stop)):
                return False
            fresh.update((view[0], rows.start, cols.start) for rows, cols in group)


def _grouped(
    tiles: list[Region], learner: InstantLearner | RemoteLearner | None
) -> Iterator[list[Region]]:
    """Yield the tiles that are predicted at once: between them the view may move."""
    sizes = iter(() if learner is None else learner.at_once)
    start, size = 0, 1
    while start < len(tiles):
        size = next(sizes, size)
        yield tiles[start : start + size]
        start += size


def _predict(
    session: LiveSession,
    source: FeatureCache,
    index: Index,
    tiles: list[Region],
    stop: Stop,
) -> Generator[TileDone, None, bool]:
    if session.learner is not None:
        return (yield from session.learner.iter_tiles(source, index, tiles, stop))
    for inner in tiles:
        session.compute(source, index, inner, stop)
    return True


def _missing(
    source: FeatureCache,
    view: View,
    near: tuple[float, float] | None,
    fresh: Set[Tile],
) -> list[Region]:
    """Return the tiles of a view that are to be predicted, the first ones first."""
    index, middle, size = view
    shape = source.image.plane_shape
    region = [
        slice(
            min(max(0, int(at - n / 2)), whole), min(max(0, int(at + n / 2) + 1), whole)
        )
        for at, n, whole in zip(middle, size, shape, strict=True)
    ]
    visible = source.tiles(_around(near or middle, region), near or middle)
    visible = visible[:_MOST_TILES]
    return [t for t in visible if (index, t[0].start, t[1].start) not in fresh]


def _around(at: tuple[float, float], region: list[slice]) -> list[slice]:
    """Return what lies around a point of a region that may be a whole slide."""
    from unet_engine.pixel_classification.feature_cache import TILE

    reach = TILE * (int(_MOST_TILES**0.5) // 2)
    parts = []
    for middle, part in zip(at, region, strict=True):
        inside = min(max(int(middle), part.start), part.stop)
        parts.append(
            slice(
                max(part.start, inside - reach),
                max(part.start, min(part.stop, inside + reach)),
            )
        )
    return parts
