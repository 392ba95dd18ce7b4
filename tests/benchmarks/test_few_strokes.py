"""Tests of the study with a simulated user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from stroke_study.plot import MEAN, curves  # noqa: E402
from stroke_study.scores import Scoring  # noqa: E402
from stroke_study.subjects import read_set  # noqa: E402
from stroke_study.summary import largest_drop, summarise  # noqa: E402
from stroke_study.user import SimulatedUser, nothing_painted, suggested  # noqa: E402

from unet_engine.errors import DataError  # noqa: E402
from unet_engine.labels import IGNORE  # noqa: E402


def write_set(folder: Path, count: int, size: int = 96) -> Path:
    """Write images with bright discs, and the ids of the discs."""
    y, x = np.mgrid[:size, :size]
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        ids = np.zeros((size, size), np.uint8)
        for label, (cy, cx) in enumerate(rng.integers(15, size - 15, (4, 2)), start=1):
            ids[(y - cy) ** 2 + (x - cx) ** 2 < 100] = label
        image = rng.normal(60, 10, ids.shape) + 80 * (ids > 0)
        name = f"{number:02}.tif"
        tifffile.imwrite(folder / "images" / name, image.clip(0, 255).astype(np.uint8))
        tifffile.imwrite(folder / "labels" / name, ids)
    return folder


class TestSets:
    def test_no_image_is_trained_on_and_tested(self, tmp_path):
        found = read_set(write_set(tmp_path / "discs", 12))
        assert [s.name for s in found.trained] == ["00", "01", "02"]
        assert [s.name for s in found.tested] == ["07", "08", "09", "10", "11"]

    def test_fewer_images_are_split_too(self, tmp_path):
        found = read_set(write_set(tmp_path / "discs", 5))
        assert [s.name for s in found.tested] == ["03", "04"]

    def test_object_ids_become_foreground(self, tmp_path):
        subject = read_set(write_set(tmp_path / "discs", 4)).trained[0]
        assert set(np.unique(subject.truth)) == {0, 1}

    def test_planes_of_a_stack_are_images(self, tmp_path):
        for kind in ("images", "labels"):
            (tmp_path / kind).mkdir()
            tifffile.imwrite(
                tmp_path / kind / "stack.tif",
                np.arange(20, dtype=np.uint8)[:, None, None]
                * np.ones((1, 16, 16), np.uint8),
                metadata={"axes": "ZYX"},
            )
        found = read_set(tmp_path)
        assert len(found.trained) == 3
        assert [s.name for s in found.tested][-1] == "stack 19"

    def test_what_is_missing_is_named(self, tmp_path):
        with pytest.raises(DataError, match="no folder images"):
            read_set(tmp_path)
        folder = write_set(tmp_path / "discs", 4)
        (folder / "labels" / "01.tif").unlink()
        with pytest.raises(DataError, match=r"01\.tif has no labels"):
            read_set(folder)


class TestUser:
    def test_strokes_lie_in_mistakes_of_their_class(self):
        truth = np.zeros((60, 60), np.uint8)
        truth[10:30, 10:50] = 1
        found = np.zeros_like(truth)
        found[40:55, 5:50] = 1
        target = nothing_painted(truth)
        after = SimulatedUser(0).paint(truth, found, target, count=2)
        assert len(after) == 4
        painted = target != IGNORE
        assert (target[painted] == truth[painted]).all()
        # Each mistake is larger than what a stroke walks across.
        assert (target[10:30, 10:50] == 1).any()
        assert (target[40:55, 5:50] == 0).any()

    def test_the_same_seed_paints_the_same(self):
        truth = np.zeros((40, 40), np.uint8)
        truth[10:30] = 1
        targets = [nothing_painted(truth) for _ in range(3)]
        for seed, target in zip((1, 1, 2), targets, strict=True):
            SimulatedUser(seed).paint(truth, 1 - truth, target, count=3)
        assert np.array_equal(targets[0], targets[1])
        assert not np.array_equal(targets[0], targets[2])

    def test_a_guided_user_is_shown_what_is_uncertain(self):
        probability = np.zeros((512, 512), np.float32)
        probability[300:330, 300:330] = 0.5
        target = nothing_painted(np.zeros((512, 512), np.uint8))
        shown = suggested(probability, target, count=3)
        assert shown[310, 310]
        assert not shown[:200, :200].any()
        assert suggested(np.zeros_like(probability), target, count=3).all()

    def test_an_image_without_a_class_gets_no_stroke_of_it(self):
        truth = np.zeros((20, 20), np.uint8)
        target = nothing_painted(truth)
        SimulatedUser(0).paint(truth, truth, target, count=2)
        assert set(np.unique(target)) == {0, IGNORE}


def test_scores_are_those_of_the_thresholds():
    scoring = Scoring()
    truth = np.array([[1, 1, 0, 0]], np.uint8)
    scoring.add(truth, np.array([[0.9, 0.4, 0.3, 0.1]], np.float32))
    scores = scoring.scores()
    assert scores.iou == 0.5
    assert scores.best_iou == 1.0
    assert scores.ap == 1.0


@pytest.mark.slow
def test_the_command_records_a_row_per_round(tmp_path):
    write_set(tmp_path / "discs", 5)
    table = tmp_path / "rows.json"
    options = [
        f"--data={tmp_path}",
        "--sets=discs",
        "--methods=forest,live,live_one_stage,network,product_guided",
        "--quick",
        "--threads=1",
        f"--json={table}",
    ]
    script = str(BENCHMARKS / "few_strokes.py")
    done = subprocess.run(
        [sys.executable, script, *options], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(table.read_text())
    assert len(rows) == 10
    assert {row["round"] for row in rows} == {1, 2}
    live = [row for row in rows if row["method"] == "live"]
    assert live[-1]["iou"] > 0.8
    assert live[-1]["live_p95_s"] > 0


class TestPicture:
    def rows(
        self, dataset: str, method: str, *ious: float, seed: int = 0
    ) -> list[dict]:
        course = {"dataset": dataset, "method": method, "seed": seed, "seconds": 10.0}
        return [{**course, "round": n, "iou": iou} for n, iou in enumerate(ious, 1)]

    def test_a_stroke_counts_three_seconds_and_training_its_own(self):
        found = curves(self.rows("cells", "forest", 0.5, 0.75), strokes=10)
        assert found == {"cells": {"forest": ([40.0, 80.0], [0.5, 0.75])}}

    def test_a_mean_is_over_all_sets_and_the_rounds_they_share(self):
        rows = [
            *self.rows("cells", "forest", 0.5, 0.75),
            *self.rows("cells", "live", 0.5),
            *self.rows("nuclei", "forest", 0.25),
        ]
        found = curves(rows, strokes=10)
        assert found[MEAN] == {"forest": ([40.0], [0.375])}

    def test_a_line_is_the_mean_of_the_seeds(self):
        rows = [
            *self.rows("cells", "forest", 0.5, 0.75),
            *self.rows("cells", "forest", 0.25, 0.25, seed=1),
        ]
        found = curves(rows, strokes=10)
        assert found == {"cells": {"forest": ([40.0, 80.0], [0.375, 0.5])}}

    @pytest.mark.slow
    def test_it_is_drawn_from_rows_of_earlier_runs(self, tmp_path):
        rows = tmp_path / "rows.json"
        rows.write_text(json.dumps(self.rows("cells", "forest", 0.5, 0.75)))
        picture = tmp_path / "strokes.png"
        command = [sys.executable, str(BENCHMARKS / "few_strokes.py")]
        done = subprocess.run(
            [*command, "--rows", rows, "--plot", picture],
            check=True,
            capture_output=True,
            text=True,
        )
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert "0.750" in done.stdout


def test_a_summary_compares_courses_of_the_same_seed():
    def course(method: str, seed: int, ious: list[float], **keys: float) -> list[dict]:
        return [
            {"dataset": "cells", "method": method, "seed": seed, "round": n, "iou": iou}
            | {"shown": None, **keys}
            for n, iou in enumerate(ious, 1)
        ]

    rows = [
        *course("product", 0, [0.8, 0.6, 0.75], live_iou=0.7, shown=0.71),
        *course("product", 1, [0.5, 0.55], live_iou=0.5),
        *course("forest", 0, [0.5, 0.5, 0.5]),
        *course("forest", 1, [0.5, 0.45]),
        *course("forest", 2, [0.9]),
    ]
    text = "\n".join(summarise(rows))
    assert "product          0.650 ± 0.141 (2 seeds)" in text
    assert "product - forest: mean +0.175, least +0.100" in text
    assert "least -0.100, 80% at least -0.02" in text
    assert "before: 0.200 (cells, seed 0)" in text
    assert "shown in 3 of 5 rounds, 67% within 0.1" in text
    assert largest_drop(rows[3:5]) == 0
