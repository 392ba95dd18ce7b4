"""A model of volumes learns from strokes on a few slices of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.jobs.training import TrainingOrder
from napari_unet.jobs.training_data import AddedLabels, decide_added
from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage, training_pairs
from unet_engine.training.data.sources import Latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked

    from unet_engine.training.data.pairs import TrainingPair

SPEC = {"ndim": 3, "depth": 1, "width": 4}


class Guarded:
    """A large stack of which only what is read is made."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.uint8)
        self.read = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        *leading, rows, columns = key
        height, width = (
            len(range(*part.indices(size)))
            for part, size in zip((rows, columns), self.shape[-2:], strict=True)
        )
        self.read += height * width
        noise = np.random.default_rng(sum(leading)).integers(0, 255, (height, width))
        return noise.astype(np.uint8)


@pytest.fixture
def stack(plane: np.ndarray) -> np.ndarray:
    """A stack of 10 slices with the bright squares of ``plane``."""
    return np.stack([plane] * 10)


@pytest.fixture
def painted(dock: Docked, stack: np.ndarray, add_model: Callable[..., Any]) -> Docked:
    """Strokes of both classes on the slices 2 and 6 of a predicted stack."""
    add_model("volumes", **SPEC)
    dock.widget.workspace.refresh_models("volumes")
    dock.viewer.add_image(stack, name="cells")
    dock.predict()
    dock.mask.brush_size = 12
    dock.mask.paint((2, 35, 35), 1)
    dock.mask.paint((2, 85, 15), 0)
    dock.mask.paint((6, 70, 70), 1)
    dock.be_quick()
    return dock


def order_of(docked: Docked) -> TrainingOrder:
    order: TrainingOrder = docked.widget.fine_tune._make_order()
    return order


def pairs_of(order: TrainingOrder, spec: ModelSpec) -> list[TrainingPair]:
    labelled = decide_added(order.labelled, order.classes)
    return list(
        training_pairs((*(order.touched.poll() or ()), *labelled), spec, order.config)
    )


def test_strokes_become_one_volume(painted: Docked) -> None:
    spec = painted.widget.workspace.model.spec
    (pair,) = pairs_of(order_of(painted), spec)
    assert pair.image.shape == (1, *pair.target.shape)
    assert pair.target.ndim == 3
    assert len(pair.target) == 10
    known = (pair.target != IGNORE).any(axis=(1, 2))
    assert np.flatnonzero(known).tolist() == [2, 6]
    assert (pair.target == 1).any(axis=(1, 2))[[2, 6]].all()
    assert pair.name == "cells"


@pytest.mark.slow
def test_a_stack_whose_strokes_are_damaged_is_not_learned_from(
    painted: Docked, damage: Callable[..., None]
) -> None:
    order = order_of(painted)
    (painted_image,) = touched = order.touched.poll()
    order.touched.post(touched)
    touched = painted_image.strokes
    for index in touched.planes():
        damage(touched, index)
    assert not (pairs_of(order, painted.widget.workspace.model.spec))


@pytest.mark.slow
def test_one_click_makes_a_model_that_predicts_the_stack(
    painted: Docked, notices: list[str]
) -> None:
    painted.fine_tune()
    workspace = painted.widget.workspace
    assert workspace.model.name == "volumes-ft"
    assert workspace.model.spec.ndim == 3
    touched = workspace.working_image.annotations.touched((2,))
    assert (painted.mask.data[2][touched] == 1).any()
    assert not any("error" in message.lower() for message in notices)


def test_an_added_pair_is_learned_as_a_volume(
    dock: Docked, stack: np.ndarray, add_model: Callable[..., Any]
) -> None:
    labels = np.full(stack.shape, IGNORE, np.uint8)
    labels[4] = stack[4] > 100
    image = Image.from_array(stack, "ZYX", name="cells")
    spec = ModelSpec(**SPEC)
    order = TrainingOrder(
        model=add_model("volumes", **SPEC),
        classes=spec.classes,
        touched=Latest(()),
        labelled=(AddedLabels(image=image, labels=labels),),
        config=FineTuneConfig(crop=32),
    )
    (pair,) = pairs_of(order, spec)
    assert np.flatnonzero((pair.target != IGNORE).any(axis=(1, 2))).tolist() == [4]
    ids = AddedLabels(image=image, labels=(stack > 100) * 7, label_values="objects")
    (dense,) = pairs_of(
        TrainingOrder(
            model=order.model,
            classes=order.classes,
            touched=Latest(()),
            labelled=(ids,),
            config=order.config,
        ),
        spec,
    )
    assert dense.target.shape == stack.shape
    assert np.array_equal(dense.target, stack > 100)


def test_each_stack_of_a_series_is_a_volume(
    dock: Docked, add_model: Callable[..., Any]
) -> None:
    series = np.zeros((3, 4, 20, 20), np.uint8)
    labels = np.full(series.shape, IGNORE, np.uint8)
    labels[0, 1, 5:8], labels[2, 3, 5:8] = 1, 0
    order = TrainingOrder(
        model=add_model("volumes", **SPEC),
        classes=("background", "cell"),
        touched=Latest(()),
        labelled=(
            AddedLabels(
                image=Image.from_array(series, "TZYX", name="film"),
                labels=labels,
            ),
        ),
        config=FineTuneConfig(crop=32),
    )
    first, second = pairs_of(order, ModelSpec(**SPEC))
    assert (first.name, second.name) == ("film (0,)", "film (2,)")
    assert set(np.unique(first.target)) == {1, IGNORE}


@pytest.mark.slow
def test_only_what_is_around_the_strokes_is_read(
    dock: Docked, add_model: Callable[..., Any]
) -> None:
    from napari_unet.state.working_image import WorkingImage

    data = Guarded((400, 2000, 2000))
    working_image = WorkingImage(
        Image.from_array(data, "ZYX", name="large"), layout=None
    )
    working_image.annotations.set((200, np.arange(900, 950), 1000), 1)
    working_image.annotations.set((203, np.arange(900, 950), 1010), 0)
    spec = ModelSpec(**SPEC)
    working_image.normalisation(spec)
    data.read = 0
    order = TrainingOrder(
        model=add_model("volumes", **SPEC),
        classes=spec.classes,
        touched=Latest(
            [
                PaintedImage(
                    image=working_image.image,
                    strokes=working_image.annotations,
                    normalise=working_image.normalisation,
                )
            ]
        ),
        labelled=(),
        config=FineTuneConfig(crop=64),
    )
    (pair,) = pairs_of(order, spec)
    assert np.count_nonzero(pair.target != IGNORE) == 100
    assert data.read == pair.target.size < 80 * 200 * 200


def test_a_plane_for_a_model_of_volumes(
    dock: Docked, plane: np.ndarray, add_model: Callable[..., Any]
) -> None:
    order = TrainingOrder(
        model=add_model("volumes", **SPEC),
        classes=("background", "cell"),
        touched=Latest(()),
        labelled=(
            AddedLabels(
                image=Image.from_array(plane, "YX", name="flat"),
                labels=plane > 100,
            ),
        ),
        config=FineTuneConfig(),
    )
    with pytest.raises(DataError, match=r"flat has no Z .* model for planes"):
        pairs_of(order, ModelSpec(**SPEC))
