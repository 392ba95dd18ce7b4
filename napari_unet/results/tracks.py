"""Tracks of objects as layers: paths through time, and the number of each as labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels, Tracks

from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.conversion import layer_view, placement
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.tracking import FoundTracks
    from napari_unet.results.objects import ObjectsView
    from napari_unet.viewer.conversion import Layout
    from unet_engine.tracking import Tracks as FoundPaths

_TAIL_FRAMES = 10
"""Frames of its past that are drawn of a track: more is a tangle."""


@dataclass(eq=False)
class TracksView:
    """The tracks of the objects of an image.

    Attributes
    ----------
    found
        As they were linked.
    numbers, paths
        The layers.
    outdated
        The objects were changed since then.
    """

    found: FoundTracks
    numbers: Labels
    paths: Tracks
    outdated: bool = False


class TrackLayers:
    """The tracks of a viewer, for a dock that is opened again.

    Attributes
    ----------
    views
        Of each image layer.
    """

    def __init__(self) -> None:
        self.views: WeakKeyDictionary[Any, TracksView] = WeakKeyDictionary()


def tracks_of(viewer: ViewerModel, source: Any) -> TracksView | None:
    """Return the tracks of an image layer, unless the user deleted their labels."""
    view = None
    if source is not None:
        view = of_viewer(viewer, TrackLayers).views.get(source)
    return view if view is not None and view.numbers in viewer.layers else None


def show_tracks(
    viewer: ViewerModel, source: Any, objects: ObjectsView, found: FoundTracks
) -> TracksView:
    """Show tracks above the objects, in place of earlier ones.

    Parameters
    ----------
    viewer
        Gets two layers.
    source
        The image layer.
    objects
        Which were followed; their layer is hidden.
    found
        The tracks.
    """
    views = of_viewer(viewer, TrackLayers).views
    earlier = views.get(source)
    if earlier is not None:
        for layer in (earlier.numbers, earlier.paths):
            if layer in viewer.layers:
                viewer.layers.remove(layer)
    layout = objects.working_image.layout
    numbers = Labels(
        layer_view(found.numbers, layout),
        name=f"{source.name} tracked",
        opacity=0.7,
        **placement(source, layout),
    )
    paths = Tracks(
        _points(found.tracks, layout),
        graph=_graph(found.tracks),
        name=f"{source.name} tracks",
        tail_length=_TAIL_FRAMES,
        **placement(source, layout),
    )
    for layer in (numbers, paths):
        follow_placement(source, layer, partial(placement, layout=layout))
    view = views[source] = TracksView(found, numbers, paths)
    above = viewer.layers.index(objects.layer) + 1
    viewer.layers.insert(above, numbers)
    viewer.layers.insert(above + 1, paths)
    objects.layer.visible = False
    return view


def _points(tracks: FoundPaths, layout: Layout) -> npt.NDArray[np.float64]:
    """Return rows of track, frame and place, as napari sorts them."""
    places = np.column_stack((tracks.frames, tracks.centroids))
    stretched = layout.stretched_axis
    if stretched is not None:
        places = np.insert(places, stretched, 0, axis=1)
    rows = np.column_stack((tracks.tracks, places))
    order = np.lexsort((tracks.frames, tracks.tracks))
    return rows[order].astype(np.float64)


def _graph(tracks: FoundPaths) -> dict[int, list[int]]:
    """Return what each track comes from, by division or fusion."""
    before = tracks.tracks[tracks.edges[:, 0]]
    after = tracks.tracks[tracks.edges[:, 1]]
    graph: dict[int, set[int]] = {}
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        if one != other:
            graph.setdefault(other, set()).add(one)
    return {track: sorted(parents) for track, parents in sorted(graph.items())}
