"""Tests of the command line: what is written, printed and refused."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
import tifffile

from unet_engine.cli import main
from unet_engine.cli.options.parameters import field_texts
from unet_engine.compute.runner import Runner
from unet_engine.errors import DataError, EngineError
from unet_engine.images import open_image, read_labels
from unet_engine.metrics import Confusion
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training import rounds
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course import interrupted_run
from unet_engine.training.events import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = ("--steps=60", "--learning-rate=0.01", "--elastic=0", "--intensity=0")
TINY = ("--depth=2", "--width=4", "--crop=32", "--batch=2", "--device=cpu")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the user's own, empty folder of models."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return ModelStore()


def saved(store: ModelStore) -> set[str]:
    """Return the names of the user's own models."""
    return {info.name for info in store.list() if not info.bundled}


@pytest.fixture
def model(store: ModelStore, make_checkpoint: Callable[..., Checkpoint]) -> Checkpoint:
    """Return a model that the store has as ``tiny``."""
    checkpoint = make_checkpoint()
    store.save("tiny", checkpoint)
    return checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of six images and labels: bright squares, class 1."""
    rng = np.random.default_rng(0)
    for part in "images", "labels":
        (tmp_path / part).mkdir()
    for number in range(6):
        mask = np.zeros((64, 64), np.uint8)
        for y, x in rng.integers(0, 44, (3, 2)):
            mask[y : y + 16, x : x + 16] = 1
        image = (mask * 150 + rng.normal(60, 10, mask.shape)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "images" / f"cell_{number}.tif", image)
        tifffile.imwrite(tmp_path / "labels" / f"cell_{number}.tif", mask)
    return tmp_path


def write(path: Path, array: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def finetune(folder: Path, *options: str, out: str = "new") -> int:
    return main(
        [
            "finetune",
            f"--images={folder / 'images'}",
            f"--labels={folder / 'labels'}",
            f"--out={out}",
            *TINY,
            *options,
        ]
    )


def segment(source: Path, out: Path, *options: str) -> int:
    fixed = "--model=tiny", "--device=cpu"
    return main(["predict", str(source), str(out), *fixed, *options])


def evaluate(folder: Path, *options: str) -> int:
    return main(
        [
            "evaluate",
            f"--images={folder / 'images'}",
            f"--labels={folder / 'labels'}",
            "--device=cpu",
            *options,
        ]
    )


def assert_one_line(stderr: str, *phrases: str) -> None:
    """Assert that stderr is one error line that contains the phrases."""
    # What the labels mean is printed before, where that is clear.
    printed = stderr.strip().splitlines()
    lines = [line for line in printed if not line.startswith("labels: ")]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("napari-unet: error: ")
    for phrase in phrases:
        assert phrase in lines[0]


def files_under(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# The options


def test_every_setting_is_an_option_with_default_and_help(
    capsys: pytest.CaptureFixture,
):
    for command, config in ("predict", PredictConfig), ("finetune", FineTuneConfig):
        with pytest.raises(SystemExit) as exit_:
            main([command, "--help"])
        assert exit_.value.code == 0
        printed = " ".join(capsys.readouterr().out.split())
        for name, text in field_texts(config).items():
            assert text
            # Their files are options; maps of objects are for `objects --model`.
            if name not in ("probabilities", "object_maps"):
                assert f"--{name.replace('_', '-')}" in printed
                default = getattr(config(), name)
                assert f"{text} (default: {default})" in printed


def test_given_settings_reach_the_run(
    folder: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
):
    seen: list[FineTuneConfig] = []

    def note(checkpoint: object, pairs: object, config: FineTuneConfig, **_: object):
        seen.append(config)
        raise DataError("enough")
        yield

    monkeypatch.setattr(rounds, "iter_fine_tune", note)
    finetune(folder, "--steps=7", "--no-flips", "--learning-rate=0.01", "--seed=3")
    finetune(folder)
    finetune(folder, "--minutes=3", "--steps=9", "--statistics=batch")
    one, two, three = seen
    assert (one.steps, one.minutes, one.flips) == (7, 0.0, False)
    assert (one.learning_rate, one.seed, one.crop) == (0.01, 3, 32)
    assert two == FineTuneConfig(device="cpu", crop=32, batch=2)
    assert (three.minutes, three.steps, three.statistics) == (3.0, 9, "batch")


def test_settings_out_of_range_are_one_line(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    assert finetune(folder, "--crop=3") == 1
    assert_one_line(capsys.readouterr().err, "crop is 3; use 32 or more")


def test_wrong_usage_exits_with_2():
    for arguments in [], ["predict"], ["nonsense"], ["evaluate", "--range=x"]:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 2


@pytest.mark.slow
def test_help_and_models_do_not_wait_for_torch():
    code = (
        "import sys; from unet_engine.cli import main; main(['models']);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


# predict


def test_predict_writes_what_the_engine_predicts(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    source = write(tmp_path / "a.tif", noise(80, 90))
    out, maps = tmp_path / "mask.tif", tmp_path / "maps.tif"
    assert segment(source, out, f"--probabilities={maps}", "--tile=32") == 0
    config = PredictConfig(device="cpu", tile=32, probabilities=True)
    expected = predict(open_image(source), model, config)
    np.testing.assert_array_equal(read_labels(out), expected.labels)
    np.testing.assert_allclose(tifffile.imread(maps), expected.probabilities)
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert printed.err == ""


def test_predict_takes_stacks_axes_and_channels(tmp_path: Path, model: Checkpoint):
    pixels = noise(2, 3, 40, 44)
    source = write(tmp_path / "a.tif", pixels)
    out = tmp_path / "mask.tif"
    assert segment(source, out, "--axes=CZYX", "--channel=1") == 0
    single = write(tmp_path / "b.tif", pixels[1], metadata={"axes": "ZYX"})
    expected = predict(open_image(single), model, PredictConfig(device="cpu"))
    labels = open_image(out)
    assert (labels.leading_axes, labels.leading_shape) == ("Z", (3,))
    np.testing.assert_array_equal(read_labels(out), expected.labels)


def test_predict_takes_a_model_file(
    tmp_path: Path, store: ModelStore, make_checkpoint: Callable[..., Checkpoint]
):
    source = write(tmp_path / "a.tif", noise(32, 32))
    make_checkpoint().save(tmp_path / "elsewhere.safetensors")
    out = tmp_path / "mask.png"
    assert segment(source, out, f"--model={tmp_path / 'elsewhere.safetensors'}") == 0
    assert read_labels(out).shape == (32, 32)


def test_predict_takes_a_folder(folder: Path, model: Checkpoint):
    (folder / "images" / "notes.txt").write_text("no image")
    out = folder / "results" / "masks"
    assert segment(folder / "images", out) == 0
    assert files_under(out) == {f"cell_{i}.tif" for i in range(6)}


def test_a_broken_image_of_a_folder_is_passed_over(
    folder: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    (folder / "images" / "cell_1.tif").write_text("this is no TIFF")
    out = folder / "masks"
    assert segment(folder / "images", out) == 1
    assert files_under(out) == {f"cell_{i}.tif" for i in (0, 2, 3, 4, 5)}
    first, last = capsys.readouterr().err.strip().splitlines()
    assert "cell_1.tif" in first
    assert "1 of 6 images could not be segmented" in last


def truncated(path: Path) -> None:
    write(path, noise(200, 200))
    path.write_bytes(path.read_bytes()[:20000])


BAD_IMAGES = {
    "missing": (lambda path: None, "cannot be opened"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (lambda path: path.write_text("hello"), "cannot be read as a TIFF"),
    "truncated": (truncated, "truncated"),
    "complex": (lambda path: write(path, np.ones((9, 9), complex)), "complex"),
    "channels": (
        lambda path: write(path, noise(5, 40, 40), metadata={"axes": "CYX"}),
        "the model takes 1",
    ),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_predict_refuses_bad_images_in_one_line(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture, kind: str
):
    make, phrase = BAD_IMAGES[kind]
    source = tmp_path / "a.tif"
    make(source)
    before = files_under(tmp_path)
    assert segment(source, tmp_path / "mask.tif") == 1
    assert_one_line(capsys.readouterr().err, "a.tif", phrase)
    assert files_under(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pixels", "noted"),
    [
        (np.full((40, 40), 7, np.uint8), True),
        (np.where(np.eye(40) > 0, np.nan, np.eye(40, k=3)).astype(np.float32), True),
        (noise(1, 50), True),
        (noise(40, 40) > 100, False),
        ((noise(40, 40) / 127.5 - 1).astype(np.float32), False),
        (noise(40, 40).astype(np.uint16) + 32768, False),
    ],
    ids=["constant", "nan", "1xN", "bool", "signed", "offset"],
)
def test_predict_takes_odd_images_and_notes_what_is_odd(
    tmp_path: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    pixels: np.ndarray,
    noted: bool,
):
    source = write(tmp_path / "a.tif", pixels)
    out = tmp_path / "mask.tif"
    assert segment(source, out, "--axes=YX") == 0
    assert read_labels(out).shape == pixels.shape
    assert bool(capsys.readouterr().err) == noted
    assert segment(source, out, "--axes=YX", "--quiet", "--overwrite") == 0
    assert capsys.readouterr().err == ""


def foreign(path: Path) -> None:
    path.write_bytes(safetensors.numpy.save({"weight": np.zeros(3, np.float32)}))


def other_spec(path: Path) -> None:
    content = path.read_bytes()
    assert content.count(rb"\"width\": 4") == 1
    path.write_bytes(content.replace(rb"\"width\": 4", rb"\"width\": 8"))


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (foreign, "not of a model of"),
        (other_spec, "changed after it was saved"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "truncated"),
        (lambda path: path.write_text("hello"), "no model file"),
        (lambda path: path.unlink(), "model"),
    ],
    ids=["foreign", "spec", "truncated", "text", "missing"],
)
def test_predict_refuses_bad_models_in_one_line(
    tmp_path: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    damage: Callable[[Path], None],
    phrase: str,
):
    source = write(tmp_path / "a.tif", noise(32, 32))
    path = tmp_path / "model.safetensors"
    make_checkpoint().save(path)
    damage(path)
    out = tmp_path / "mask.tif"
    assert segment(source, out, f"--model={path}") == 1
    assert_one_line(capsys.readouterr().err, phrase)
    assert not out.exists()


def test_an_unknown_model_is_answered_with_the_known_ones(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    source = write(tmp_path / "a.tif", noise(32, 32))
    assert segment(source, tmp_path / "b.tif", "--model=no") == 1
    assert_one_line(capsys.readouterr().err, "no model 'no'", "tiny")


def test_predict_never_replaces_an_image(
    folder: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    images = folder / "images"
    source = images / "cell_0.tif"
    other = folder / "b.tif"
    for arguments in (
        (source, source),
        (source, images),
        (source, other, f"--probabilities={source}"),
    ):
        content = source.read_bytes()
        assert segment(*arguments, "--overwrite") == 1
        assert_one_line(capsys.readouterr().err, "would replace the image")
        assert source.read_bytes() == content
    assert segment(images, images, "--overwrite") == 1
    assert_one_line(capsys.readouterr().err, "give another folder")
    assert files_under(images) == {f"cell_{i}.tif" for i in range(6)}
    assert segment(source, other, f"--probabilities={other}") == 1
    assert_one_line(capsys.readouterr().err, "2 results would be written")


@pytest.mark.slow
def test_predict_checks_where_it_writes_before_it_works(
    tmp_path: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    source = write(tmp_path / "a.tif", noise(3, 32, 32), metadata={"axes": "ZYX"})
    monkeypatch.setattr("unet_engine.prediction.segmentation.iter_predict", None)
    for out, phrase in (
        (tmp_path / "nowhere" / "mask.tif", "cannot be written"),
        (source / "mask.tif", "cannot be written"),
        (tmp_path / "mask.gif", ".tif or .tiff or .zarr or .png"),
        (tmp_path / "mask.png", "holds one plane"),
    ):
        assert segment(source, out) == 1
        assert_one_line(capsys.readouterr().err, phrase)
    assert segment(tmp_path, source) == 1
    assert_one_line(capsys.readouterr().err, "the name of a file")
    (tmp_path / "notes").write_text("no folder")
    assert segment(tmp_path, tmp_path / "notes") == 1
    assert_one_line(capsys.readouterr().err, "cannot be made")


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_result(
    tmp_path: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    source = write(tmp_path / "a.tif", noise(32, 32))
    out = write(tmp_path / "mask.tif", np.full((32, 32), 9, np.uint8))
    before = files_under(tmp_path)
    for place in "unet_engine.files.atomic.os.replace", "tifffile.imwrite":
        with monkeypatch.context() as patch:
            patch.setattr(place, full_disk)
            assert segment(source, out, "--overwrite") == 1
        assert_one_line(capsys.readouterr().err, "No space left on device")
        assert (read_labels(out) == 9).all()
        assert files_under(tmp_path) == before


def test_a_failure_of_torch_is_one_line(
    tmp_path: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cuDNN error\nand a long text")

    source = write(tmp_path / "a.tif", noise(32, 32))
    out = tmp_path / "mask.tif"
    for place in (
        "torch.Tensor.softmax",
        "unet_engine.compute.runner.RunnerCache.get",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            assert segment(source, out) == 1
        assert_one_line(capsys.readouterr().err, "cuDNN error")
    assert not out.exists()


def test_ctrl_c_in_a_folder_keeps_the_finished_images(
    folder: Path,
    model: Checkpoint,
    capfd: pytest.CaptureFixture,
    interrupt_at: Callable[[int], list[int]],
):
    interrupt_at(3)
    out = folder / "masks"
    # The third image is not finished: its only tile was being predicted.
    assert segment(folder / "images", out) == 130
    assert "2 of 6 images were segmented" in capfd.readouterr().err
    assert files_under(out) == {f"cell_{i}.tif" for i in range(2)}


def test_ctrl_c_during_a_prediction_writes_nothing(
    tmp_path: Path,
    model: Checkpoint,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    genuine = Runner.__call__

    def interrupted(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGINT)
        return genuine(self, block, *wanted)

    monkeypatch.setattr(Runner, "__call__", interrupted)
    source = write(tmp_path / "a.tif", noise(100, 100))
    before = signal.getsignal(signal.SIGINT)
    assert segment(source, tmp_path / "mask.tif", "--tile=32") == 130
    assert "stopped, nothing was segmented" in capfd.readouterr().err
    assert not (tmp_path / "mask.tif").exists()
    assert signal.getsignal(signal.SIGINT) is before


# finetune


@pytest.mark.slow
def test_a_fresh_model_learns_and_is_evaluated_on_other_images(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    assert finetune(folder, *QUICK, "--range=:4") == 0
    printed = capsys.readouterr()
    info = store.info("new")
    assert str(info.path) in printed.out
    assert "60 steps" in printed.out
    assert "validation" in printed.err
    assert (info.spec.depth, info.spec.width, info.spec.in_channels) == (2, 4, 1)
    assert info.spec.classes == ("background", "foreground")
    assert len(info.history[-1]["data"]) == 4

    assert evaluate(folder, "--model=new", "--range=4:", "--json") == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["pixel_error"] < 0.1
    assert figures["images"] == 2
    assert figures["model"] == "new"


@pytest.mark.slow
def test_the_figures_are_those_of_the_predictions(
    folder: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    unlabelled = folder / "labels" / "cell_2.tif"
    labels = tifffile.imread(unlabelled)
    labels[:40] = 255
    write(unlabelled, labels)
    assert evaluate(folder, "--model=tiny", "--json", "--quiet") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    figures = json.loads(printed.out)
    confusion = Confusion(2)
    for number in range(6):
        name = f"cell_{number}.tif"
        image = open_image(folder / "images" / name)
        found = predict(image, model, PredictConfig(device="cpu")).labels
        confusion.add(read_labels(folder / "labels" / name), found)
    assert confusion.pixels == 6 * 64 * 64 - 40 * 64
    assert figures == {
        "pixel_error": confusion.pixel_error,
        "iou": confusion.mean_iou,
        "dice": confusion.mean_dice,
        "classes": {
            name: {
                "pixel_error": pytest.approx(confusion.pixel_error),
                "iou": confusion.iou[i],
                "dice": confusion.dice[i],
            }
            for i, name in enumerate(("background", "foreground"))
        },
        "pixels": confusion.pixels,
        "scores": {
            "pixel_accuracy": confusion.pixel_accuracy,
            "mean_accuracy": confusion.mean_accuracy,
            "frequency_weighted_iou": confusion.frequency_weighted_iou,
        },
        "images": 6,
        "model": "tiny",
    }
    assert evaluate(folder, "--model=tiny", "--quiet") == 0
    table = capsys.readouterr().out
    assert f"{confusion.mean_iou:.4f}" in table
    assert f"{confusion.pixel_error:.4f}" in table


@pytest.mark.slow
def test_a_published_architecture_is_trained(folder: Path, store: ModelStore):
    assert finetune(folder, *QUICK, "--architecture=unet-valid") == 0
    assert store.info("new").spec.architecture == "unet-valid"


@pytest.mark.slow
def test_a_model_is_tuned_from_another(
    folder: Path, model: Checkpoint, store: ModelStore
):
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    names = "--out=tuned", "--from=tiny", "--classes=background,cell"
    settings = *QUICK, "--crop=32", "--device=cpu", "--statistics=batch"
    code = main(["finetune", *data, *names, *settings])
    assert code == 0
    spec = store.info("tuned").spec
    assert spec.classes == ("background", "cell")
    assert (spec.depth, spec.width) == (2, 4)
    tuned = store.load("tuned").weights["head.weight"]
    assert not np.array_equal(tuned, model.weights["head.weight"])


@pytest.mark.slow
def test_stacks_and_colour_images_are_learned_from(
    folder: Path, store: ModelStore, tmp_path: Path
):
    masks = np.stack([tifffile.imread(p) for p in sorted(folder.glob("labels/*"))])
    data = tmp_path / "stacks"
    for part in "images", "labels":
        (data / part).mkdir(parents=True)
    write(data / "images" / "a.tif", masks * 99 + 9, metadata={"axes": "ZYX"})
    masks[1:5] = 255
    write(data / "labels" / "a.tif", masks, metadata={"axes": "ZYX"})
    assert finetune(data, *QUICK, out="stack") == 0
    assert store.info("stack").history[-1]["data"] == ["a (0,)", "a (5,)"]
    colour = np.repeat(masks[0][..., None] * np.uint8(120), 3, axis=2)
    write(data / "images" / "a.tif", colour, photometric="rgb")
    write(data / "labels" / "a.tif", masks[0])
    assert finetune(data, *QUICK, out="colour") == 0
    assert store.info("colour").spec.in_channels == 3


@pytest.mark.slow
def test_object_ids_are_not_taken_for_classes(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    for number in range(6):
        ids = np.zeros((64, 64), np.uint16)
        for i in range(number + 4):
            y, x = 20 * (i // 3), 20 * (i % 3)
            ids[y : y + 12, x : x + 12] = i + 1
        write(folder / "labels" / f"cell_{number}.tif", ids)
        write(folder / "images" / f"cell_{number}.tif", (ids > 0) * np.uint8(90) + 5)
    assert finetune(folder, "--steps=2") == 1
    assert_one_line(capsys.readouterr().err, "object ids", "--label-values objects")
    assert not saved(store)
    assert finetune(folder, *QUICK, "--instances") == 0
    assert store.info("new").spec.classes == ("background", "foreground")
    capsys.readouterr()
    assert evaluate(folder, "--model=new", "--json") == 1
    assert_one_line(capsys.readouterr().err, "--label-values objects")
    option = "--label-values=objects"
    assert evaluate(folder, "--model=new", "--json", option) == 0
    assert json.loads(capsys.readouterr().out)["pixels"] == 6 * 64 * 64


@pytest.mark.slow
def test_named_classes_are_not_taken_for_objects(folder: Path, store: ModelStore):
    for number in range(6):
        bands = np.repeat(np.arange(6, dtype=np.uint8) % 5, 11)[:64]
        write(folder / "labels" / f"cell_{number}.tif", np.tile(bands, (64, 1)))
        write(folder / "images" / f"cell_{number}.tif", np.tile(bands * 50, (64, 1)))
    assert finetune(folder, *QUICK, "--classes=a,b,c,d,e") == 0
    assert store.info("new").spec.classes == ("a", "b", "c", "d", "e")


@pytest.mark.slow
def test_classes_are_counted_from_the_labels(folder: Path, store: ModelStore):
    for path in folder.glob("labels/*"):
        labels = tifffile.imread(path)
        labels[::9] = 2
        labels[5] = 255
        write(path, labels)
    assert finetune(folder, *QUICK) == 0
    assert store.info("new").spec.classes == ("background", "class 1", "class 2")


def test_labels_without_data_are_not_learned_from_and_noted(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    paths = sorted((folder / "images").iterdir())
    image = tifffile.imread(paths[0]).astype(np.float32)
    image[:20] = np.nan
    write(paths[0], image)
    finetune(folder, "--steps=2")
    assert f"{20 * 64} labelled pixels without data" in capsys.readouterr().err
    for path in paths:
        image = np.full((64, 64), np.nan, np.float32)
        image[0] = np.arange(64)
        write(path, image)
        labels = tifffile.imread(folder / "labels" / path.name)
        labels[0] = 255
        write(folder / "labels" / path.name, labels)
    assert finetune(folder, "--steps=2", out="none") == 1
    assert "label where data are" in capsys.readouterr().err


def rename(folder: Path) -> None:
    (folder / "labels" / "cell_3.tif").rename(folder / "labels" / "cell_x.tif")


def crop_labels(folder: Path) -> None:
    write(folder / "labels" / "cell_3.tif", np.zeros((64, 60), np.uint8))


def one_class(folder: Path) -> None:
    for path in folder.glob("labels/*"):
        write(path, np.ones((64, 64), np.uint8))


def no_labels(folder: Path) -> None:
    for path in folder.glob("labels/*"):
        write(path, np.full((64, 64), 255, np.uint8))


def empty_folder(folder: Path) -> None:
    for path in folder.glob("labels/*"):
        path.unlink()


def broken_labels(folder: Path) -> None:
    (folder / "labels" / "cell_3.tif").write_text("hello")


@pytest.mark.parametrize(
    ("damage", "phrases"),
    [
        (rename, ("do not pair", "cell_3", "cell_x")),
        (crop_labels, ("cell_3", "64 x 60", "64 x 64", "same shape")),
        (one_class, ("two classes",)),
        (no_labels, ("labelled",)),
        (empty_folder, ("no image file",)),
        (broken_labels, ("cell_3", "cannot be read as a TIFF")),
    ],
)
def test_finetune_refuses_bad_folders_in_one_line(
    folder: Path,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    damage: Callable[[Path], None],
    phrases: tuple[str, ...],
):
    damage(folder)
    assert finetune(folder, "--steps=2") == 1
    assert_one_line(capsys.readouterr().err, *phrases)
    assert not saved(store)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (("--range=6:9",), "none of the 6 pairs"),
        (("--labels={folder}/images",), "keep them apart"),
        (("--images={folder}/none",), "check the path"),
        (("--channel=3",), "no channel 3"),
        (("--axes=YXQ",), "letter"),
        (("--from=tiny", "--width=8"), "--from has its own"),
        (("--architecture=fcn8s-vgg16",), "depth 5 instead of 2"),
        (("--classes=only",), "2 to"),
    ],
)
def test_finetune_refuses_bad_options_in_one_line(
    folder: Path,
    model: Checkpoint,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    phrase: str,
):
    filled = [option.format(folder=folder) for option in options]
    assert finetune(folder, "--steps=2", *filled) == 1
    assert_one_line(capsys.readouterr().err, phrase)
    assert saved(store) == {"tiny"}


def test_models_that_cannot_learn_from_planes_are_refused(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    store.save("volumes", make_checkpoint(ModelSpec(ndim=3, depth=1, width=2)))
    plain = ModelSpec(architecture="autoencoder", classes=(), depth=1, width=2)
    store.save("plain", make_checkpoint(plain))
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    assert main(["finetune", *data, "--out=new", "--from=volumes"]) == 1
    assert_one_line(capsys.readouterr().err, "no Z before its planes")
    assert evaluate(folder, "--model=plain") == 1
    assert_one_line(capsys.readouterr().err, "no classes")


def refuse_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "iter_fine_tune", None)


def test_a_taken_name_is_refused_before_the_training(
    folder: Path,
    model: Checkpoint,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    refuse_training(monkeypatch)
    content = store.info("tiny").path.read_bytes()
    for name, phrase in ("tiny", "'tiny' already"), ("a/b", "no name for a model"):
        assert finetune(folder, "--steps=2", out=name) == 1
        assert_one_line(capsys.readouterr().err, phrase)
    assert store.info("tiny").path.read_bytes() == content


def test_an_unwritable_store_is_refused_before_the_training(
    folder: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    refuse_training(monkeypatch)
    blocked = folder / "images" / "cell_0.tif" / "models"
    monkeypatch.setenv(MODELS_VARIABLE, str(blocked))
    assert finetune(folder, "--steps=2") == 1
    assert_one_line(capsys.readouterr().err, "cannot be made")
    monkeypatch.setenv(MODELS_VARIABLE, str(folder / "models"))
    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    assert finetune(folder, "--steps=2") == 1
    assert_one_line(capsys.readouterr().err, "No space left on device")
    assert files_under(folder / "models") == set()


@pytest.mark.slow
def test_overwrite_replaces_a_model_when_the_training_succeeds(
    folder: Path, model: Checkpoint, store: ModelStore
):
    assert finetune(folder, *QUICK, "--overwrite", out="tiny") == 0
    assert saved(store) == {"tiny"}
    assert store.info("tiny").history[-1]["steps"] > 0


def test_a_training_that_learned_nothing_reports_it_and_saves_nothing(
    folder: Path,
    model: Checkpoint,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
):
    content = store.info("tiny").path.read_bytes()
    code = finetune(
        folder, "--steps=1", "--learning-rate=1e-12", "--overwrite", "-q", out="tiny"
    )
    assert code == 1
    assert_one_line(capsys.readouterr().err, "nothing was saved")
    assert store.info("tiny").path.read_bytes() == content


def test_a_failed_training_leaves_the_old_model(
    folder: Path,
    model: Checkpoint,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("cuDNN error")

    content = store.info("tiny").path.read_bytes()
    monkeypatch.setattr("torch.nn.Conv2d.forward", fail)
    assert finetune(folder, "--steps=5", "--overwrite", "-q", out="tiny") == 1
    assert_one_line(capsys.readouterr().err, "cuDNN error")
    assert store.info("tiny").path.read_bytes() == content
    assert saved(store) == {"tiny"}


@pytest.mark.slow
def test_what_was_learned_survives_a_full_disk_of_the_store(
    folder: Path,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(folder)
    genuine = os.replace

    def full(source: Path, target: Path) -> None:
        if target.parent == store.root and target.name == "new.safetensors":
            full_disk()
        genuine(source, target)

    monkeypatch.setattr("unet_engine.files.atomic.os.replace", full)
    assert finetune(folder, *QUICK, "-q") == 1
    rescued = folder / "new.safetensors"
    assert_one_line(capsys.readouterr().err, "No space left", str(rescued))
    assert Checkpoint.load(rescued).spec.width == 4
    assert not saved(store)


class Finetuning:
    """``napari-unet finetune`` in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-c",
                    "from unet_engine.cli import main; exit(main())",
                ),
                *("finetune", "--images", str(folder / "images")),
                *("--labels", str(folder / "labels"), *TINY, *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MODELS_VARIABLE: str(folder / "models")},
        )

    def interrupt_after(self, phrase: str) -> tuple[int, str, str]:
        """Send SIGINT when stderr holds the phrase; return exit code and output."""
        seen = ""
        assert self.process.stderr is not None
        while phrase not in seen:
            line = self.process.stderr.readline()
            assert line, seen
            seen += line
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, seen + err


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_weights_and_the_old_model(
    folder: Path, model: Checkpoint, store: ModelStore
):
    content = store.info("tiny").path.read_bytes()
    run = Finetuning(folder, "--steps=4000", "--out=tiny", "--overwrite")
    code, out, err = run.interrupt_after("best so far")
    assert code == 0, err
    assert "Traceback" not in err
    assert "stopped early" in out
    assert "'tiny' is kept" in err
    assert store.info("tiny").path.read_bytes() == content
    assert saved(store) == {"tiny", "tiny-2"}
    assert store.load("tiny-2").history[-1]["steps"] > 0


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_before_anything_was_learned_saves_nothing(
    folder: Path,
    store: ModelStore,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    presses: int,
):
    genuine = rounds.iter_fine_tune

    def interrupted(*arguments: object, **options: object) -> Iterator[object]:
        run = genuine(*arguments, **options)
        yield next(run)
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        return (yield from run)

    monkeypatch.setattr(rounds, "iter_fine_tune", interrupted)
    assert finetune(folder, "--minutes=5") == 130
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "nothing was" in printed.err
    assert not saved(store)


def test_a_training_that_was_killed_is_resumed(
    folder: Path,
    store: ModelStore,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    genuine = rounds.iter_fine_tune

    def killed(*arguments: object, **options: object) -> Iterator[object]:
        for event in genuine(*arguments, **options):
            yield event
            if isinstance(event, Step) and event.step == 6:
                raise EngineError("killed")

    # Kept after every step.
    monkeypatch.setattr(interrupted_run, "_INTERVAL_S", 0.0)
    monkeypatch.setattr(rounds, "iter_fine_tune", killed)
    assert finetune(folder, "--steps=9") == 1
    assert (store.root / "new.training").is_file()
    monkeypatch.setattr(rounds, "iter_fine_tune", genuine)
    capfd.readouterr()
    assert finetune(folder, "--steps=9", "--resume") == 0
    assert "goes on after step 5" in capfd.readouterr().err
    assert saved(store) == {"new"}
    assert not (store.root / "new.training").exists()
    assert finetune(folder, "--steps=9", "--resume", "--overwrite") == 0
    assert "no interrupted training" in capfd.readouterr().err


# evaluate, models, demo


def test_evaluate_needs_labels_and_known_classes(
    folder: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    labels = folder / "labels" / "cell_0.tif"
    write(labels, np.full((64, 64), 255, np.uint8))
    assert evaluate(folder, "--model=tiny", "--range=:1", "--json") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert_one_line(printed.err, "no pixel of these images is labelled")
    write(labels, np.full((64, 64), 2, np.uint8))
    assert evaluate(folder, "--model=tiny", "--range=:1") == 1
    assert_one_line(capsys.readouterr().err, "the value 2", "classes 0 to 1")


def test_a_class_that_occurs_nowhere_is_null(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    checkpoint = make_checkpoint(ModelSpec(depth=2, width=4, classes=("a", "b", "c")))
    checkpoint.weights["head.bias"][2] = -1e6
    store.save("three", checkpoint)
    assert evaluate(folder, "--model=three", "--json") == 0
    assert json.loads(capsys.readouterr().out)["classes"]["c"]["iou"] is None
    assert evaluate(folder, "--model=three") == 0
    assert " -" in capsys.readouterr().out
    assert evaluate(folder, "--model=three", "--instances") == 1
    assert_one_line(capsys.readouterr().err, "foreground and background")


@pytest.mark.slow
def test_models_lists_what_is_known(
    folder: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    assert finetune(folder, *QUICK, "-q", out="second") == 0
    capsys.readouterr()
    assert main(["models", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["tiny"]["trained"] is None
    assert found["second"]["classes"] == ["background", "foreground"]
    assert 0 < found["second"]["iou"] <= 1
    assert main(["models"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["name", "architecture", "channels", "classes"]
    assert any(row.startswith("second") for row in rows)


def test_demo_without_napari_names_the_extra(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "napari_unet.demo", None)
    assert main(["demo", "--screenshot", "a.png"]) == 1
    assert_one_line(capsys.readouterr().err, "napari-unet-finetune[pyqt6]")


def test_demo_without_the_plugin_names_the_extra(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "unet_engine.cli.commands.demo.entry_points", lambda **which: []
    )
    assert main(["demo"]) == 1
    assert_one_line(capsys.readouterr().err, "napari-unet-finetune[pyqt6]")


def test_demo_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch):
    from types import SimpleNamespace

    seen: list[list[str]] = []
    demo = SimpleNamespace(main=lambda arguments: seen.append(arguments) or 7)
    monkeypatch.setitem(sys.modules, "napari_unet.demo", demo)
    assert main(["demo", "--screenshot", "a.png"]) == 7
    assert seen == [["--screenshot", "a.png"]]


def test_a_closed_pipe_is_no_error(model: Checkpoint):
    code = (
        "import sys; from unet_engine.cli import main;"
        "sys.stdin.read(); sys.exit(main(['models', '--json']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1
