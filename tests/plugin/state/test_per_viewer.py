"""Tests of what belongs to a viewer."""

from __future__ import annotations

import gc
from weakref import ref

from napari.components import ViewerModel

from napari_unet.state.per_viewer import of_viewer


class Speeds:
    def __init__(self) -> None:
        self.known: list[int] = []


class Masks(Speeds):
    pass


def test_a_viewer_has_one_of_each_kind():
    one, other = ViewerModel(), ViewerModel()
    of_viewer(one, Speeds).known.append(7)
    assert of_viewer(one, Speeds).known == [7]
    assert of_viewer(one, Masks).known == []
    assert of_viewer(other, Speeds).known == []


def test_it_goes_with_the_viewer():
    viewer = ViewerModel()
    speeds = ref(of_viewer(viewer, Speeds))
    assert speeds() is not None
    del viewer
    gc.collect()
    assert speeds() is None
