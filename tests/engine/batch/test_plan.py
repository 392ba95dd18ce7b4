"""Tests of which images a batch has and where their results go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from batch_runs import write_image
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.batch import plan_batch
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def results_of(plan) -> list[str]:
    return [
        item.result("mask").relative_to(plan.home).as_posix() for item in plan.items
    ]


def test_results_lie_in_the_folders_of_the_images_below_the_common_one(
    images: Path, tmp_path: Path
):
    plan = plan_batch([images / "control", images / "treated"], tmp_path / "out")
    assert plan.home == tmp_path / "out"
    assert [item.name for item in plan.items] == [
        "control/a.tif",
        "control/b.tif",
        "treated/a.tif",
        "treated/c.tif",
    ]
    assert [item.condition for item in plan.items] == ["control"] * 2 + ["treated"] * 2
    assert results_of(plan)[0] == "control/a_mask.tif"
    assert not plan.home.exists()


def test_without_a_folder_results_lie_beside_the_images(images: Path):
    plan = plan_batch([images / "control", images / "treated"])
    assert plan.home == images
    assert [item.result("objects") for item in plan.items][-1] == (
        images / "treated" / "c_objects.tif"
    )
    alone = plan_batch([images / "control"])
    assert alone.home == images / "control"
    assert [item.name for item in alone.items] == ["a.tif", "b.tif"]


def test_results_of_batches_are_no_images_unless_they_are_named(images: Path):
    folder = images / "control"
    for name in ("a_mask", "b_objects", "lonely_mask"):
        write_image(folder / f"{name}.tif", 9)
    plan = plan_batch([folder])
    assert [i.image.name for i in plan.items] == ["a.tif", "b.tif", "lonely_mask.tif"]
    assert [p.name for p in plan.left_out] == ["a_mask.tif", "b_objects.tif"]
    named = plan_batch([folder / "a.tif", folder / "a_mask.tif"])
    assert len(named.items) == 2


def test_there_must_be_an_image_and_a_folder(images: Path, tmp_path: Path):
    with pytest.raises(DataError, match="give a folder for the results"):
        plan_batch([images / "control"], images / "control" / "a.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        plan_batch([tmp_path / "empty"])


NAMES = st.sampled_from(["a", "b", "a.tif", "a.png", "b.tif", "a.b"])
SUFFIXES = st.sampled_from([".tif", ".png", ".tif.png", ".ome.tif", ".jpg"])


@given(files=st.sets(st.tuples(NAMES, SUFFIXES), min_size=1, max_size=12))
def test_no_two_images_have_the_same_results(files: set[tuple[str, str]]):
    names = {"".join(parts) for parts in files}
    plan = plan_batch([os.path.join("folder", name) for name in sorted(names)])
    stems = [item.stem for item in plan.items]
    assert len(set(stems)) == len(names)
