"""The networks, recipes and scores of the papers on the command line."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from unet_engine.cli import main
from unet_engine.images import open_image
from unet_engine.metrics import average_reports, report
from unet_engine.models import starting
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.denoising import denoise
from unet_engine.prediction.segmentation import predict
from unet_engine.training import pretraining, rounds
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.restoration.judge import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.training.data.pairs import TrainingPair

TINY = ("--crop=32", "--batch=2", "--device=cpu", "--quiet")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the user's own, empty folder of models."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return ModelStore()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return three images with touching objects and the ids of those."""
    for part in "images", "ids", "masks":
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        ids = np.zeros((64, 64), np.uint16)
        for i in range(8):
            y, x = 16 * (i // 3) + number, 16 * (i % 3) + 4 * (i // 3)
            ids[y : y + 16, x : x + 16] = i + 1
        image = (ids > 0) * 100 + rng.normal(50, 8, ids.shape)
        name = f"cell_{number}.tif"
        tifffile.imwrite(tmp_path / "images" / name, image.astype(np.uint8))
        tifffile.imwrite(tmp_path / "ids" / name, ids)
        tifffile.imwrite(tmp_path / "masks" / name, (ids > 0).astype(np.uint8))
    return tmp_path


def data(folder: Path, labels: str) -> tuple[str, str]:
    return f"--images={folder / 'images'}", f"--labels={folder / labels}"


def evaluate(folder: Path, labels: str, *options: str) -> int:
    return main(["evaluate", *data(folder, labels), "--model=tiny", "-q", *options])


def finetune(folder: Path, labels: str, *options: str) -> int:
    return main(
        [
            *("finetune", *data(folder, labels), *TINY, "--steps=2"),
            *("--out=new", "--overwrite", *options),
        ]
    )


def expected(folder: Path, checkpoint: Checkpoint, labels: str, kind: str) -> dict:
    reports = []
    for path in sorted((folder / "images").iterdir()):
        config = PredictConfig(device="cpu")
        found = predict(open_image(path), checkpoint, config).labels
        if kind == "instances":
            found = ndimage.label(found)[0]
        reports.append(
            report(tifffile.imread(folder / labels / path.name), found, kind)
        )
    return average_reports(reports)


def test_scores_of_objects_fit_object_ids(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    store.save("tiny", make_checkpoint())
    assert evaluate(folder, "ids", "--instances", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    scores = expected(folder, make_checkpoint(), "ids", "instances")
    assert figures["scores"] == pytest.approx(scores)
    assert {"ap_50", "aji", "seg"} <= set(scores)
    assert set(figures) > {"pixel_error", "iou", "dice", "classes"}


@pytest.mark.parametrize(
    "classes, options",
    [
        (("inside", "Membrane"), ()),
        (("background", "foreground"), ("--scores=membranes",)),
    ],
)
def test_scores_of_membranes(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    classes: tuple[str, str],
    options: tuple[str, ...],
):
    checkpoint = make_checkpoint(ModelSpec(depth=2, width=4, classes=classes))
    store.save("tiny", checkpoint)
    assert evaluate(folder, "masks", "--json", *options) == 0
    found = json.loads(capsys.readouterr().out)["scores"]
    scores = expected(folder, checkpoint, "masks", "membranes")
    kept = {"v_rand", "v_info", "rand_error", "warping_error", "split_merge_error"}
    assert {k: found[k] for k in kept} == pytest.approx({k: scores[k] for k in kept})
    assert evaluate(folder, "masks", *options) == 0
    assert f"v_rand                 {scores['v_rand']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "labels, options",
    [("masks", ["--scores=instances"]), ("ids", ["--instances", "--scores=classes"])],
)
def test_scores_that_do_not_fit_the_labels_are_refused(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    labels: str,
    options: list[str],
):
    store.save("tiny", make_checkpoint())
    assert evaluate(folder, labels, *options) == 1
    assert "leave --scores out" in capsys.readouterr().err


def test_objects_of_a_stack_go_on_along_z_and_not_along_t(
    tmp_path: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    store.save("tiny", make_checkpoint())
    ids = np.zeros((3, 64, 64), np.uint8)
    ids[:, 10:30, 10:30], ids[:, 40:60, 40:60] = 1, 2
    for name, values in (("images", ids * 90), ("ids", ids)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", values, photometric="minisblack")
    counts = []
    for axes in "ZYX", "TYX":
        assert evaluate(tmp_path, "ids", "--instances", "--json", f"--axes={axes}") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["scores"]["true_objects"] == 2
        counts.append(figures["scores"]["predicted_objects"])
    found = predict(
        open_image(tmp_path / "images" / "a.tif", axes="ZYX"),
        make_checkpoint(),
        PredictConfig(device="cpu"),
    ).labels
    frames = [ndimage.label(plane)[1] for plane in found]
    assert counts == [ndimage.label(found)[1], np.mean(frames)]


class Seen:
    """What a training was started with."""

    checkpoint: Checkpoint
    pairs: list[TrainingPair]
    config: FineTuneConfig


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Note what trainings start with, and let them run."""
    seen, genuine = Seen(), rounds.iter_fine_tune

    def spy(checkpoint, pairs, config, **options):
        seen.checkpoint, seen.pairs, seen.config = checkpoint, list(pairs), config
        return genuine(checkpoint, pairs, config, **options)

    monkeypatch.setattr(rounds, "iter_fine_tune", spy)
    return seen


def test_border_weight_takes_the_gaps_from_object_ids(
    folder: Path, store: ModelStore, seen: Seen
):
    tiny = ("--depth=2", "--width=4")
    finetune(folder, "ids", "--instances", "--border-weight=10", *tiny)
    for pair in seen.pairs:
        ids = tifffile.imread(folder / "ids" / f"{pair.name}.tif")
        gaps = (pair.target == 0) & (ids > 0)
        assert gaps.any()
        assert pair.pixel_weights[gaps].min() > 9
    finetune(folder, "ids", "--instances", *tiny)
    assert all(pair.pixel_weights is None for pair in seen.pairs)
    assert len(seen.pairs) == 3


# networks and starts


def test_a_published_network_brings_its_recipe(
    folder: Path, store: ModelStore, seen: Seen
):
    valid = ("--architecture=unet-valid", "--depth=2", "--width=4")
    finetune(folder, "masks", *valid)
    assert (seen.config.optimiser, seen.config.border_weight) == ("sgd", 10)
    assert (seen.config.crop, seen.config.batch) == (32, 2)
    store.save("valid", seen.checkpoint)
    finetune(folder, "masks", "--from=valid", "--optimiser=adamw")
    assert (seen.config.optimiser, seen.config.dice) == ("adamw", False)
    assert seen.checkpoint.spec.architecture == "unet-valid"
    finetune(folder, "masks", "--depth=2", "--width=4")
    assert seen.config == FineTuneConfig(
        device="cpu", minutes=0, steps=2, crop=32, batch=2
    )


def test_fcns_are_trained_in_stages(folder: Path, store: ModelStore, seen: Seen):
    spec = ModelSpec.for_architecture("fcn32s-alexnet", width=2, dense_width=4)
    start = starting.start_checkpoint(spec)
    store.save("coarse", Checkpoint(spec, start.weights, ({"steps": 9},)))
    for finer in "fcn16s-alexnet", "fcn8s-alexnet":
        finetune(folder, "masks", "--from=coarse", f"--architecture={finer}")
        found = seen.checkpoint
        assert found.spec.architecture == finer
        assert (found.spec.width, found.spec.dense_width) == (2, 4)
        assert found.trained
        assert found.name == "coarse"
        assert np.array_equal(found.weights["fc6.weight"], start.weights["fc6.weight"])
        assert seen.config.learning_rate == 1e-4


@pytest.mark.parametrize(
    "options, phrase",
    [
        (("--from=tiny", "--architecture=fcn16s-vgg16"), "does not start from unet"),
        (("--imagenet",), "no ImageNet weights for unet"),
        (("--from=tiny", "--imagenet"), "--from has its own weights"),
        (("--architecture=fcn32s-vgg16", "--depth=3"), "use depth 5 instead of 3"),
    ],
)
def test_starts_that_cannot_be_are_refused(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    phrase: str,
):
    store.save("tiny", make_checkpoint())
    assert finetune(folder, "masks", *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("napari-unet: error: ")
    assert phrase in error


def test_imagenet_weights_are_fetched_when_requested(
    folder: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
):
    architectures = []

    def fetched(spec: ModelSpec, seed: int, **options: object) -> Checkpoint:
        architectures.append(spec.architecture)
        options["progress"](1, 0)
        options["progress"](2, 4)
        small = dataclasses.replace(spec, width=2, dense_width=4)
        return starting.start_checkpoint(small, seed)

    monkeypatch.setattr(starting, "start_imagenet", fetched)
    finetune(folder, "masks", "--architecture=fcn32s-alexnet", "--imagenet")
    assert architectures == ["fcn32s-alexnet"]


# pretraining


def pretrain(folder: Path, *options: str) -> int:
    size = ("--depth=2", "--width=4")
    size = () if any(o.startswith("--from") for o in options) else size
    common = ("--learning-rate=1e-2", "--steps=30", "--out=quiet")
    return main(["pretrain", str(folder), *TINY, *size, *common, *options])


@pytest.mark.slow
def test_pretrained_model_denoises_and_starts_a_unet(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    assert pretrain(folder / "images") == 0
    printed = capsys.readouterr().out
    assert "loss" in printed
    assert "nan" not in printed.lower()
    info = store.info("quiet")
    assert info.spec.classes == ()
    assert info.history[-1]["data"] == [f"cell_{i}.tif" for i in range(3)]

    source, result = folder / "images" / "cell_0.tif", folder / "clean.tif"
    assert main(["predict", str(source), str(result), "--model=quiet", "-q"]) == 0
    restored = open_image(result)
    assert (restored.axes, restored.dtype) == ("YX", np.float32)
    checkpoint = store.load("quiet")
    expected = denoise(open_image(source), checkpoint, PredictConfig(device="cpu"))
    np.testing.assert_array_equal(restored.read(()), expected.image)

    assert finetune(folder, "masks", "--from=quiet", "--steps=40") == 0
    tuned = store.info("new")
    assert tuned.spec.architecture == "unet"
    assert tuned.spec.classes == ("background", "foreground")
    assert (tuned.spec.depth, tuned.spec.width) == (2, 4)
    assert tuned.history[-1]["parent"] == "quiet"
    assert pretrain(folder / "images", "--from=quiet", "--out=quieter") == 0
    assert len(store.info("quieter").history) == 2


@pytest.mark.slow
def test_a_denoiser_is_kept_where_it_beats_filters(
    folder: Path,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    found = Judgement(network=0.3, mean=1.0, filters={"a Gaussian of 1 px": 0.2})
    monkeypatch.setattr(pretraining, "judged", lambda *_: found)
    options = ("--purpose=restore", "--steps=3", "--crop=32")
    assert pretrain(folder / "images", *options) == 1
    assert "A Gaussian of 1 px does better here" in capsys.readouterr().err
    found = Judgement(network=0.1, mean=1.0, filters={"a Gaussian of 1 px": 0.2})
    assert pretrain(folder / "images", *options) == 0
    info = store.info("quiet")
    assert info.spec.restores
    assert info.history[-1]["judgement"]["filter"] == "a Gaussian of 1 px"
    assert pretrain(folder / "images", "--from=quiet", "--out=more", "--steps=3") == 0
    assert store.info("more").spec == info.spec
    assert finetune(folder, "masks", "--from=quiet", "--steps=4") == 1
    assert "start from one that was pretrained" in capsys.readouterr().err


def test_denoised_images_of_a_folder_become_tiffs(
    folder: Path, store: ModelStore, make_checkpoint: Callable[..., Checkpoint]
):
    spec = ModelSpec(architecture="autoencoder", depth=1, width=2, classes=())
    store.save("quiet", make_checkpoint(spec))
    stack = np.stack([tifffile.imread(p) for p in sorted(folder.glob("images/*"))])
    (folder / "mixed").mkdir()
    options = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(folder / "mixed" / "a.tif", stack, **options)
    iio.imwrite(folder / "mixed" / "b.png", stack[0])
    out = folder / "clean"
    assert main(["predict", str(folder / "mixed"), str(out), "--model=quiet"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["a.tif", "b.tif"]
    assert open_image(out / "a.tif").axes == "ZYX"


@pytest.mark.parametrize(
    "options, phrase",
    [
        (("{folder}/clean.png",), "let it end in .tif"),
        (("{folder}/clean.tif", "--probabilities={folder}/p.tif"), "--probabilities"),
    ],
)
def test_denoised_images_are_no_label_images(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    phrase: str,
):
    spec = ModelSpec(architecture="autoencoder", depth=1, width=2, classes=())
    store.save("quiet", make_checkpoint(spec))
    source = str(folder / "images" / "cell_0.tif")
    given = [option.format(folder=folder) for option in options]
    assert main(["predict", source, *given, "--model=quiet"]) == 1
    assert phrase in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, phrase",
    [
        (("--from=tiny",), "unet with classes"),
        (("--from=tiny", "--depth=3"), "--depth is of a fresh model"),
        (("--out=tiny",), "tiny"),
        (("--steps=0", "--minutes=0"), "never end"),
        (("--from=tiny", "--purpose=restore"), "--purpose is of a fresh model"),
    ],
)
def test_pretraining_that_cannot_be_is_refused(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    phrase: str,
):
    store.save("tiny", make_checkpoint())
    assert pretrain(folder / "images", *options) == 1
    assert phrase in capsys.readouterr().err
    assert [info.name for info in store.list() if not info.bundled] == ["tiny"]
