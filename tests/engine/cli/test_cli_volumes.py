"""``napari-unet`` on stacks of which a few slices are labelled."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.images import Image, read_labels
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

QUICK = (
    "--steps=40",
    "--crop=80",
    "--batch=2",
    "--learning-rate=0.01",
    "--device=cpu",
    "--quiet",
)
SMALL = "--depth=2", "--width=8"


def spheres(shape: tuple[int, int, int] = (12, 48, 48)) -> np.ndarray:
    """Return object ids of two spheres that more than one slice shows."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    ids = np.zeros(shape, np.uint8)
    for number, (cy, cx) in enumerate(((14, 14), (32, 34)), start=1):
        inside = ((z - 5) * 2) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 11**2
        ids[inside] = number
    return ids


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    """Return a folder of one stack, labelled on the slices 3 and 7."""
    truth = (spheres() > 0).astype(np.uint8)
    noise = np.random.default_rng(0).normal(60, 12, truth.shape)
    sparse = np.full_like(truth, IGNORE)
    sparse[[3, 7]] = truth[[3, 7]]
    files = {
        "images": (truth * 120 + noise).astype(np.uint8),
        "labels": sparse,
        "truth": truth,
    }
    for part, array in files.items():
        (tmp_path / part).mkdir()
        tifffile.imwrite(
            tmp_path / part / "stack.tif", array, imagej=True, metadata={"axes": "ZYX"}
        )
    return tmp_path


def finetune(folder: Path, *options: str) -> int:
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    return main(["finetune", *data, "--out=new", *QUICK, *options])


def error_of(capsys: pytest.CaptureFixture) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.slow
def test_two_labelled_slices_are_learned_predicted_and_measured(
    stacks: Path, models_folder: Path, capsys: pytest.CaptureFixture
):
    assert finetune(stacks, "--ndim=3", *SMALL, "--steps=80") == 0
    spec = ModelStore(models_folder).info("new").spec
    assert (spec.ndim, spec.depth, spec.z_poolings) == (3, 2, 1)
    out = stacks / "found.tif"
    image = stacks / "images" / "stack.tif"
    options = "--model=new", "--device=cpu", "--quiet"
    assert main(["predict", str(image), str(out), *options]) == 0
    found, truth = tifffile.imread(out), tifffile.imread(stacks / "truth" / "stack.tif")
    assert found.shape == truth.shape
    # Slices without labels, between those that have some.
    assert np.mean(found[4:7] != truth[4:7]) < 0.05
    capsys.readouterr()
    data = f"--images={stacks / 'images'}", f"--labels={stacks / 'truth'}"
    assert main(["evaluate", *data, *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["iou"] > 0.8


@pytest.mark.slow
def test_a_model_of_volumes_is_tuned_further(
    stacks: Path, models_folder: Path, make_checkpoint: Callable[..., Checkpoint]
):
    spec = ModelSpec(ndim=3, depth=1, width=8)
    ModelStore(models_folder).save("old", make_checkpoint(spec))
    assert finetune(stacks, "--from=old", "--statistics=batch") == 0
    assert ModelStore(models_folder).info("new").spec.ndim == 3


@pytest.mark.slow
def test_the_published_network_needs_no_ndim(stacks: Path, models_folder: Path):
    options = "--architecture=unet3d-valid", "--depth=1", "--width=4", "--steps=30"
    assert finetune(stacks, *options) == 0
    spec = ModelStore(models_folder).info("new").spec
    assert (spec.ndim, spec.architecture) == (3, "unet3d-valid")


def chosen(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> ModelSpec:
    """Return the spec that a training starts from, without training."""
    seen: list[ModelSpec] = []

    def note(checkpoint: Checkpoint, *_: object, **__: object):
        seen.append(checkpoint.spec)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("unet_engine.training.rounds.iter_fine_tune", note)
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    main(["finetune", *data, "--out=new", *options])
    return seen[0]


def write_stack(folder: Path, depth: int, **metadata: object) -> Path:
    labels = np.zeros((depth, 40, 40), np.uint8)
    labels[:, :20] = 1
    for part, array in (("images", labels * 99), ("labels", labels)):
        (folder / part).mkdir(parents=True)
        tifffile.imwrite(
            folder / part / "a.tif",
            array,
            imagej=True,
            resolution=(10, 10),
            metadata={"axes": "ZYX", "unit": "um", **metadata},
        )
    return folder


@pytest.mark.parametrize(
    ("depth", "spacing", "poolings"),
    [(14, 0.1, 1), (100, 0.1, 3), (100, 0.4, 1), (3, 0.1, 0)],
)
def test_poolings_along_z_follow_the_stack_and_are_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    depth: int,
    spacing: float,
    poolings: int,
):
    folder = write_stack(tmp_path, depth, spacing=spacing)
    spec = chosen(folder, monkeypatch, "--ndim=3", "--width=2")
    assert spec.z_poolings == poolings
    printed = capsys.readouterr().err
    assert f"{poolings} of 3 poolings go along Z" in printed
    assert f"{depth} slices" in printed
    assert ("4.0 times as far apart" in printed) == (spacing > 0.1)


def test_valid_padding_pools_less_along_z_than_would_look_out_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_stack(tmp_path, 16)
    options = "--architecture=unet3d-valid", "--depth=2", "--width=2"
    assert chosen(folder, monkeypatch, *options).z_poolings == 1
    for depth in (15, 22):
        spec = chosen(write_stack(tmp_path / str(depth), depth), monkeypatch, *options)
        assert spec.footprint.halo[0] < depth


def test_poolings_that_are_requested_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    folder = write_stack(tmp_path, 14)
    options = "--ndim=3", "--depth=2", "--width=2", "--z-poolings=2"
    assert chosen(folder, monkeypatch, *options).z_poolings == 2
    assert "poolings go along Z" not in capsys.readouterr().err


def test_dense_width_of_an_fcn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options = "--architecture=fcn32s-alexnet", "--width=2", "--dense-width=8"
    spec = chosen(write_stack(tmp_path, 2), monkeypatch, *options)
    assert (spec.ndim, spec.dense_width) == (2, 8)


def test_planes_for_a_model_of_volumes(tmp_path: Path, capsys: pytest.CaptureFixture):
    for part in "images", "labels":
        (tmp_path / part).mkdir()
        tifffile.imwrite(tmp_path / part / "a.tif", np.eye(40, dtype=np.uint8))
    for options in (("--ndim=3",), ("--architecture=unet3d-valid",)):
        assert finetune(tmp_path, *options) == 1
        error = error_of(capsys)
        assert "a.tif has no Z" in error
        # Two axes cannot be stated otherwise.
        assert "state its axes" not in error
        assert "use a model for planes" in error
    for part in "images", "labels":
        frames = np.stack([np.eye(40, dtype=np.uint8)] * 5)
        tifffile.imwrite(tmp_path / part / "a.tif", frames, metadata={"axes": "TYX"})
    assert finetune(tmp_path, "--ndim=3") == 1
    assert "state its axes, or use a model for planes" in error_of(capsys)


def test_labels_of_another_depth(stacks: Path, capsys: pytest.CaptureFixture):
    tifffile.imwrite(stacks / "labels" / "stack.tif", np.zeros((11, 48, 48), np.uint8))
    assert finetune(stacks, "--ndim=3", *SMALL) == 1
    assert "11 x 48 x 48 and the image is 12 x 48 x 48" in error_of(capsys)


def test_a_stack_too_thin_for_valid_padding(
    stacks: Path, capsys: pytest.CaptureFixture
):
    options = "--architecture=unet3d-valid", "--depth=2", "--width=2"
    assert finetune(stacks, *options, "--z-poolings=2") == 1
    error = error_of(capsys)
    assert "stack has 12 slices" in error
    assert "z_poolings" in error


@pytest.mark.parametrize(
    "option", ["--ndim=3", "--z-poolings=1", "--dense-width=8", "--depth=2"]
)
def test_size_of_another_model_cannot_be_chosen(
    stacks: Path,
    models_folder: Path,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    option: str,
):
    spec = ModelSpec(ndim=3, depth=1, width=2)
    ModelStore(models_folder).save("old", make_checkpoint(spec))
    assert finetune(stacks, "--from=old", option) == 1
    assert "--from has its own weights and size" in error_of(capsys)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (("--z-poolings=1",), "use ndim 3"),
        (("--architecture=unet3d-valid", "--ndim=2"), "use ndim 3"),
        (("--architecture=fcn8s-vgg16", "--ndim=3"), "use ndim 2"),
        (("--ndim=3", "--z-poolings=7"), "from 0 to 3"),
    ],
)
def test_what_cannot_be_built_is_refused(
    stacks: Path, capsys: pytest.CaptureFixture, options: tuple[str, ...], phrase: str
):
    assert finetune(stacks, *options) == 1
    assert phrase in error_of(capsys)


def test_a_stack_is_predicted_in_three_directions_and_a_time_series_is_refused(
    stacks: Path,
    models_folder: Path,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    model = make_checkpoint(ModelSpec(depth=1, width=2))
    ModelStore(models_folder).save("planes", model)
    source, out = stacks / "images" / "stack.tif", stacks / "out.tif"
    series = stacks / "series.tif"
    tifffile.imwrite(series, tifffile.imread(source), metadata={"axes": "TYX"})
    command = ("--model=planes", "--device=cpu", "--directions=three")
    assert main(["predict", str(source), str(out), *command]) == 0
    pixels = Image.from_array(tifffile.imread(source), "ZYX")
    config = PredictConfig(device="cpu", directions="three")
    np.testing.assert_array_equal(
        read_labels(out), predict(pixels, model, config).labels
    )
    capsys.readouterr()
    refused = stacks / "refused.tif"
    assert main(["predict", str(series), str(refused), *command]) == 1
    assert "series.tif has no Z before its planes (axes 'TYX')" in error_of(capsys)
    # As the message advises.
    assert main(["predict", str(series), str(refused), *command, "--axes=ZYX"]) == 0
    assert main(["predict", str(series), str(stacks / "b.tif"), *command[:2]]) == 0
