"""The benchmark that reproduces the papers, on generated images."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from unet_engine.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("reproduce")


@pytest.fixture
def part(reproduce: ModuleType) -> Any:
    """Return a module of the benchmark by name."""
    return lambda name: import_module(f"reproduction.{name}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with as many slices of membranes as the split needs."""
    folder = tmp_path / "data" / "em_isbi2012_membrane"
    rng = np.random.default_rng(0)
    for kind in "images", "labels":
        (folder / kind).mkdir(parents=True)
    for number in range(23):
        membrane = np.zeros((64, 64), np.uint8)
        membrane[number % 8 :: 16] = membrane[:, number % 7 :: 16] = 1
        pixels = 150 - 90 * membrane + rng.normal(0, 9, membrane.shape)
        name = f"slice_{number:02}.tif"
        tifffile.imwrite(folder / "images" / name, pixels.astype(np.uint8))
        tifffile.imwrite(folder / "labels" / name, membrane)
    return folder.parent


def run(reproduce: ModuleType, data: Path, *options: str) -> int:
    here = data.parent
    return reproduce.main(
        [
            *("--data", str(data), "--json", str(here / "figures.json")),
            *("--table", str(here / "RESULTS.md"), "--models", str(here / "models")),
            *("--quick", "--steps=2", "--device=cpu", "--no-imagenet", *options),
        ]
    )


@pytest.mark.slow
def test_a_row_is_measured_once_and_put_into_the_table(
    reproduce: ModuleType, data: Path, capsys: pytest.CaptureFixture
):
    table = data.parent / "RESULTS.md"
    table.write_text("# Measured\n\nstays\n")
    assert run(reproduce, data, "--row=unet-em-2images-rigid") == 0
    (record,) = json.loads((data.parent / "figures.json").read_text())
    assert record["steps"] == 2
    (model,) = data.parent.glob("models/quick/*")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    learned = (
        w.size
        for n, w in Checkpoint.load(model).weights.items()
        if not n.endswith(statistics)
    )
    assert record["parameters"] == sum(learned)
    text = table.read_text()
    assert text.startswith("# Measured\n\nstays\n")
    lines = [line for line in text.splitlines() if line.startswith("| U-Net")]
    assert all(
        "2 images, all variations but elastic" in line and "1.9 M" in line
        for line in lines
    )
    assert f"| pixel error | {record['scores']['pixel_error']:.4g} | - |" in lines[0]
    assert "hela" not in text
    table.write_text(text + "after\n")
    capsys.readouterr()
    assert run(reproduce, data, "--row=unet-em-2images-rigid") == 0
    assert "measured before" in capsys.readouterr().err
    assert table.read_text() == text + "after\n"


def test_absent_data_is_named_before_the_training(
    reproduce: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
):
    assert run(reproduce, tmp_path / "none", "--row=unet-hela") == 1
    error = capsys.readouterr().err
    assert "dic_hela is absent" in error
    assert "--data" in error
    assert not (tmp_path / "figures.json").exists()


def test_incomplete_data_is_refused(
    reproduce: ModuleType, data: Path, capsys: pytest.CaptureFixture
):
    for kind in "images", "labels":
        (data / "em_isbi2012_membrane" / kind / "slice_22.tif").unlink()
    assert run(reproduce, data, "--row=unet-em") == 1
    assert "22 labelled images and the split needs 23" in capsys.readouterr().err


def test_rows_are_listed(reproduce: ModuleType, capsys: pytest.CaptureFixture):
    assert reproduce.main(["--list"]) == 0
    names = capsys.readouterr().out.split()
    wanted = {"unet", "unet-valid", "autoencoder"} | {
        f"fcn{s}s-{trunk}" for s in (32, 16, 8) for trunk in ("vgg16", "alexnet")
    }
    assert {f"{n}-{d}" for n in wanted for d in ("em", "hela", "wbc")} < set(names)
    assert {"unet-em-2images", "unet-em-2images-rigid"} < set(names)


def test_what_is_judged_was_not_learned(part: Any):
    for dataset in part("datasets").DATASETS.values():
        training, kept_apart = set(dataset.training), set(dataset.kept_apart)
        assert training
        assert kept_apart
        assert not training & kept_apart


def test_every_row_can_be_built_and_trained(part: Any):
    from unet_engine.models.spec import ARCHITECTURES, ModelSpec
    from unet_engine.training.config import FineTuneConfig

    rows, datasets = part("rows"), part("datasets").DATASETS
    for name, row in rows.ROWS.items():
        network, dataset = rows.NETWORKS[row.network], datasets[row.data]
        for scale in "quick", "full":
            spec = ModelSpec.for_architecture(
                network.architecture,
                classes=dataset.classes,
                in_channels=dataset.channels,
                **network.spec[scale],
            )
            recipe = ARCHITECTURES[network.architecture].recipe
            FineTuneConfig(**{**recipe, **network.config[scale], **row.config})
        coarser = rows.coarser_row(name)
        assert coarser is None or rows.ROWS[coarser].data == row.data
        assert (coarser is None) == ("16s" not in name and "8s" not in name)
        assert spec.classes == dataset.classes


def test_a_finer_network_measures_the_coarser_ones_first(
    reproduce: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch
):
    order = []

    def measure(name: str, setting: Any) -> dict[str, Any]:
        order.append(name)
        path = setting.model_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        scores = dict.fromkeys(
            ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"),
            0.5,
        )
        figures = {"parameters": 10**6, "minutes": 1.0, "device": "CPU"}
        start = setting.start_of(name)
        return {
            **figures,
            **{"row": name, "scale": setting.scale, "start": start, "scores": scores},
        }

    monkeypatch.setattr(reproduce, "measure", measure)
    assert run(reproduce, data, "--row=fcn8s-vgg16-wbc") == 0
    assert order == [f"fcn{s}s-vgg16-wbc" for s in (32, 16, 8)]
    assert run(reproduce, data, "--row=fcn16s-vgg16-wbc", "--imagenet") == 0
    assert order[3:] == ["fcn32s-vgg16-wbc", "fcn16s-vgg16-wbc"]
    text = (data.parent / "RESULTS.md").read_text()
    assert "| VGG-16, ImageNet |" in text
    assert "| mean IoU | 0.5 | 0.627 | no, only the order (3) |" in text
    assert run(reproduce, data, "--row=fcn8s-vgg16-wbc", "--again") == 0
    assert order[5:] == ["fcn8s-vgg16-wbc"]


def test_a_file_of_something_else_is_not_overwritten(
    reproduce: ModuleType, data: Path, capsys: pytest.CaptureFixture
):
    figures = data.parent / "figures.json"
    figures.write_text('{"a": 1}')
    assert run(reproduce, data, "--row=unet-em") == 1
    assert "holds no measurements" in capsys.readouterr().err
    assert figures.read_text() == '{"a": 1}'


def test_membranes_between_cells_weigh_most(part: Any, data: Path):
    from unet_engine.models.spec import ModelSpec

    datasets = part("datasets")
    em = datasets.DATASETS["em"]
    images = datasets.read_part(data, em, "training", 2)
    assert [image.name for image, _ in images] == ["slice_00.tif", "slice_08.tif"]
    for pair in datasets.make_pairs(images, em, ModelSpec(classes=em.classes), 10.0):
        weights = pair.pixel_weights
        assert np.median(weights[pair.target == 1]) > 9
        assert weights[pair.target == 0].max() < 2
    plain = datasets.make_pairs(images, em, ModelSpec(classes=em.classes), 0.0)
    assert all(pair.pixel_weights is None for pair in plain)
