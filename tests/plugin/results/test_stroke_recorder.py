"""What the user does to the mask layer is truth; undoing it takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.results.stroke_items import Part
from napari_unet.results.stroke_recorder import StrokeRecorder
from napari_unet.state.working_image import WorkingImage
from napari_unet.viewer.conversion import Layout, layer_view
from unet_engine.images import Image
from unet_engine.labels import IGNORE
from unet_engine.prediction.events import TileDone

if TYPE_CHECKING:
    from collections.abc import Callable


class Session:
    """A mask layer that is watched, without a viewer."""

    def __init__(self, shape: tuple[int, ...], axes: str) -> None:
        image = Image.from_array(np.zeros(shape, np.uint8), axes)
        self.working_image = WorkingImage(image, Layout(axes, ""))
        self.layer = Labels(
            layer_view(self.working_image.mask, self.working_image.layout)
        )
        self.changes: list[Any] = []
        self.recorder = StrokeRecorder(
            self.layer, self.working_image, self.changes.append
        )

    @property
    def counts(self) -> dict[int, int]:
        assert self.working_image.counts == self.working_image.annotations.classes()
        return self.working_image.counts

    def target(self, *index: int) -> np.ndarray:
        return self.working_image.annotations.target(index)

    def set_prediction(self, label: int, index: tuple[int, ...] = ()) -> None:
        """Write a prediction of one class everywhere in a plane."""
        height, width = self.working_image.mask.shape[-2:]
        inner = (slice(0, height), slice(0, width))
        labels = np.full((height, width), label, np.uint8)
        self.working_image.write_tile(
            TileDone(
                index=index, inner=inner, labels=labels, probabilities=None,
                done=1, total=1,
            )
        )  # fmt: skip


@pytest.fixture
def session() -> Session:
    return Session((40, 50), "YX")


@pytest.fixture
def stack() -> Session:
    return Session((3, 40, 50), "ZYX")


def test_paint_is_truth_of_the_changed_pixels(session: Session) -> None:
    session.layer.brush_size = 5
    session.layer.paint((20, 20), 1)
    assert session.counts == {1: int(session.layer.data.sum())}
    np.testing.assert_array_equal(session.target() == 1, session.layer.data == 1)


def test_painting_what_is_right_already_confirms_it(session: Session) -> None:
    session.set_prediction(1)
    session.layer.paint((20, 20), 1)
    painted = session.counts[1]
    assert painted > 50
    session.layer.paint((20, 20), 1)
    assert session.counts == {1: painted}


def test_a_confirmation_is_undone_by_itself(session: Session) -> None:
    session.set_prediction(1)
    session.layer.paint((10, 10), 0)
    wrong = session.counts
    session.layer.paint((30, 30), 1)
    session.layer.undo()
    assert session.counts == wrong
    session.layer.undo()
    assert session.counts == {}
    assert (session.layer.data == 1).all()


def test_erasing_is_background(session: Session) -> None:
    session.set_prediction(1)
    session.layer.paint((20, 20), 0)
    assert set(session.counts) == {0}
    assert session.layer.data[20, 20] == 0


def test_fill_and_polygon_and_setitem(session: Session) -> None:
    session.layer.paint_polygon([(5, 5), (5, 15), (15, 15), (15, 5)], 2)
    assert session.counts == {2: 121}
    session.layer.fill((10, 10), 1)
    assert session.counts == {1: 121}
    session.layer.data_setitem((np.array([0, 1]), np.array([0, 0])), 1)
    assert session.counts == {1: 123}
    for _ in range(3):
        session.layer.undo()
    assert session.counts == {}
    assert not session.layer.data.any()


def test_polygon_confirms_what_it_encloses(session: Session) -> None:
    session.set_prediction(1)
    session.layer.paint_polygon([(5, 5), (5, 15), (15, 15), (15, 5)], 1)
    assert session.counts[1] >= 100
    session.layer.undo()
    assert session.counts == {}


def test_undo_and_redo_go_back_and_forth(session: Session) -> None:
    states = [session.target()]
    for place, label in (((10, 10), 1), ((12, 12), 2), ((14, 14), 0)):
        session.layer.paint(place, label)
        states.append(session.target())
    for expected in states[-2::-1]:
        session.layer.undo()
        np.testing.assert_array_equal(session.target(), expected)
    for expected in states[1:]:
        session.layer.redo()
        np.testing.assert_array_equal(session.target(), expected)
    session.layer.redo()
    np.testing.assert_array_equal(session.target(), states[-1])


def test_a_new_stroke_ends_the_redo(session: Session) -> None:
    session.layer.paint((10, 10), 1)
    session.layer.undo()
    session.layer.paint((30, 30), 2)
    session.layer.redo()
    assert set(session.counts) == {2}


def test_undo_without_history_does_nothing(session: Session) -> None:
    session.layer.undo()
    session.layer.redo()
    assert session.counts == {}
    assert session.changes == []


def test_a_drag_of_the_mouse_is_one_undo(session: Session) -> None:
    with session.layer.block_history():
        for column in range(10, 30, 2):
            session.layer.paint((20, column), 1, refresh=False)
    assert session.counts[1] > 150
    assert len(session.changes) == 1
    session.layer.undo()
    assert session.counts == {}


@pytest.mark.slow
def test_more_strokes_than_napari_remembers(session: Session) -> None:
    session.layer.brush_size = 1
    for number in range(130):
        session.layer.paint(divmod(number, 50), 1)
    for _ in range(130):
        session.layer.undo()
    assert session.counts == {1: 30}
    np.testing.assert_array_equal(session.target() == 1, session.layer.data == 1)


def test_touched_pixels_survive_a_prediction(session: Session) -> None:
    session.layer.paint((10, 10), 1)
    session.layer.paint((30, 30), 0)
    kept = session.target()
    session.set_prediction(2)
    np.testing.assert_array_equal(session.layer.data, np.where(kept == IGNORE, 2, kept))


def test_undo_after_a_prediction_shows_the_new_one(session: Session) -> None:
    session.layer.paint((10, 10), 1)
    session.set_prediction(2)
    session.layer.undo()
    assert session.counts == {}
    assert (session.layer.data == 2).all()
    session.layer.redo()
    assert session.layer.data[10, 10] == 1


def part(session: Session, index: tuple[int, ...], region: tuple[slice, slice]) -> Part:
    """All pixels of a region whose label is not the class that they show."""
    shown = session.working_image.mask[index][region].copy()
    labels = session.working_image.annotations.target(index, region)
    return Part(index, region, labels != shown, shown)


def touched(session: Session, index: tuple[int, ...]) -> Part:
    labels = session.working_image.annotations.target(index)
    whole = slice(0, labels.shape[0]), slice(0, labels.shape[1])
    return Part(index, whole, labels != IGNORE, labels)


def test_accept_labels_the_region_and_undo_takes_it_back(session: Session) -> None:
    session.set_prediction(1)
    session.layer.paint((5, 5), 0)
    before = session.counts
    region = (slice(0, 20), slice(10, 30))
    accepted = session.recorder.accept([part(session, (), region)])
    assert (session.target()[region] != IGNORE).all()
    assert sum(session.counts.values()) == accepted + sum(before.values())
    assert session.recorder.accept([part(session, (), region)]) == 0
    session.layer.undo()
    assert session.counts == before


def test_clear_gives_pixels_back_and_undo_restores_them(stack: Session) -> None:
    stack.set_prediction(1, (0,))
    stack.layer.paint((0, 10, 10), 2)
    stack.layer.paint((2, 10, 10), 2)
    kept = stack.counts
    assert stack.recorder.clear([touched(stack, (0,))]) == stack.target(
        2
    ).size - np.sum(stack.target(2) == IGNORE)
    assert (stack.layer.data[0] == 1).all()
    stack.recorder.clear([touched(stack, (0,)), touched(stack, (2,))])
    assert stack.counts == {}
    assert not stack.layer.data[2].any()
    stack.layer.undo()
    stack.layer.undo()
    assert stack.counts == kept
    assert stack.layer.data[0, 10, 10] == 2


def test_slices_are_apart(stack: Session) -> None:
    stack.layer.paint((1, 20, 20), 1)
    assert stack.working_image.annotations.planes() == ((1,),)


def test_painting_in_three_dimensions(stack: Session) -> None:
    stack.layer.n_edit_dimensions = 3
    stack.layer.brush_size = 5
    stack.layer.paint((1, 20, 20), 1)
    assert stack.working_image.annotations.planes() == ((0,), (1,), (2,))
    assert stack.counts == {1: int((stack.layer.data == 1).sum())}
    stack.layer.undo()
    assert stack.counts == {}


def test_a_mask_over_channels() -> None:
    session = Session((3, 2, 40, 50), "ZCYX")
    assert session.layer.data.shape == (3, 1, 40, 50)
    session.layer.paint((1, 0, 20, 20), 1)
    assert session.working_image.annotations.planes() == ((1,),)
    assert session.working_image.mask[1, 20, 20] == 1


def test_brush_at_the_border_and_on_scaled_layers(session: Session) -> None:
    session.layer.scale = (2, 1)
    for place in ((0, 0), (39, 49), (0, 25)):
        session.layer.paint(place, 1)
        session.layer.paint(place, 1)
    assert session.counts == {1: int((session.layer.data == 1).sum())}


@pytest.mark.parametrize("tool", ["paint", "undo", "redo", "paint_polygon"])
def test_a_layer_that_is_let_go_is_as_it_was(session: Session, tool: str) -> None:
    watched: Callable[..., Any] = getattr(session.layer, tool)
    session.recorder.disconnect()
    assert getattr(session.layer, tool) != watched
    session.layer.paint((20, 20), 1)
    assert session.counts == {}


def test_another_array_for_the_mask(session: Session) -> None:
    session.layer.paint((10, 10), 1)
    session.working_image.replace_mask(np.full((40, 50), 2, np.int64))
    assert session.working_image.mask[10, 10] == 1
    assert session.working_image.mask[30, 30] == 2
    session.working_image.record_labels(
        (), (slice(10, 11), slice(10, 11)), np.full((1, 1), IGNORE, np.uint8)
    )
    assert session.working_image.mask[10, 10] == 2
