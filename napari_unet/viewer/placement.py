"""Result layers stay on their image when that is scaled, moved or given units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Layer

_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def follow_placement(
    source: Layer, result: Layer, place: Callable[[Any], dict[str, Any]]
) -> Callable[[], None]:
    """Give a layer the place of its image again whenever that changes.

    Parameters
    ----------
    source
        The image layer.
    result
        A layer made from it. It follows until it is gone.
    place
        Returns scale, translate, rotate, shear, affine, units and axis labels of the
        result for the source.

    Returns
    -------
    callable
        Ends it, for a layer that is to follow another image.
    """
    emitters = [getattr(source.events, name) for name in _EVENTS]
    follower = ref(result)

    def follow(event: Any) -> None:
        layer = follower()
        if layer is None:
            stop()
            return
        put(layer, place(event.source))

    def stop() -> None:
        for emitter in emitters:
            emitter.disconnect(follow)

    for emitter in emitters:
        emitter.connect(follow)
    return stop


def put(layer: Layer, placed: dict[str, Any]) -> None:
    """Give a layer the scale, translation and units of ``placed``."""
    for name in ("shear", "rotate", "scale", "translate", "affine"):
        setattr(layer, name, placed[name])
    layer.units, layer.axis_labels = placed["units"], placed["axis_labels"]
    layer.refresh(extent=True)
