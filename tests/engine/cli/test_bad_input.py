"""What the command line makes of bad input: one line, and nothing half done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.images import read_labels
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SQUARE = np.pad(np.ones((20, 20), np.uint8), 22)
TINY = ("--depth=2", "--width=4", "--crop=32", "--batch=2", "--device=cpu")
QUICK = ("--steps=30", "--learning-rate=0.01", "--elastic=0", "--intensity=0")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the user's own, empty folder of models."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return ModelStore()


@pytest.fixture
def folder(
    tmp_path: Path, store: ModelStore, make_checkpoint: Callable[..., Checkpoint]
) -> Path:
    """Return a folder of two images and labels, with a model ``tiny`` in the store."""
    store.save("tiny", make_checkpoint())
    for part in "images", "labels":
        (tmp_path / part).mkdir()
    for name in "a.tif", "b.tif":
        tifffile.imwrite(tmp_path / "images" / name, 60 + 150 * SQUARE)
        tifffile.imwrite(tmp_path / "labels" / name, SQUARE)
    return tmp_path


def finetune(folder: Path, *options: str, out: str = "new") -> int:
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    return main(["finetune", *data, f"--out={out}", *TINY, "-q", *options])


def segment(source: Path, out: Path, *options: str) -> int:
    fixed = "--model=tiny", "--device=cpu", "-q"
    return main(["predict", str(source), str(out), *fixed, *options])


def assert_one_line(stderr: str, *phrases: str) -> None:
    # What the labels mean is printed before, where that is clear.
    printed = stderr.strip().splitlines()
    lines = [line for line in printed if not line.startswith("labels: ")]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("napari-unet: error: ")
    for phrase in phrases:
        assert phrase in lines[0]


def files_under(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# Images


def test_bool_is_the_same_in_every_format(folder: Path):
    mask = np.random.default_rng(0).random((64, 64)) > 0.8
    PIL.Image.fromarray(mask).save(folder / "bit.png")
    tifffile.imwrite(folder / "bit.tif", mask, photometric="minisblack")
    tifffile.imwrite(folder / "byte.tif", mask.astype(np.uint8))
    results = []
    for name in "bit.png", "bit.tif", "byte.tif":
        out = folder / "out.tif"
        options = f"--probabilities={folder / 'p.tif'}", "--overwrite"
        assert segment(folder / name, out, *options) == 0
        results.append(tifffile.imread(folder / "p.tif"))
    assert results[2].std() > 0
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[1], results[2])


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (70, 1), (3, 3), (15, 17)])
def test_an_image_smaller_than_a_tile_gets_labels_of_its_shape(
    folder: Path, shape: tuple[int, int]
):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    tifffile.imwrite(folder / "a.tif", pixels)
    assert segment(folder / "a.tif", folder / "out.tif", "--axes=yx") == 0
    assert read_labels(folder / "out.tif").shape == shape


def test_only_nan_is_refused(folder: Path, capsys: pytest.CaptureFixture):
    tifffile.imwrite(folder / "a.tif", np.full((40, 40), np.nan, np.float32))
    assert segment(folder / "a.tif", folder / "out.tif") == 1
    assert_one_line(capsys.readouterr().err, "a.tif", "no finite pixel")
    assert not (folder / "out.tif").exists()


def test_what_is_odd_about_a_training_image_is_noted(
    folder: Path, capsys: pytest.CaptureFixture
):
    holes = np.where(np.eye(64) > 0, np.nan, SQUARE).astype(np.float32)
    tifffile.imwrite(folder / "images" / "a.tif", holes)
    tifffile.imwrite(folder / "images" / "b.tif", np.full((64, 64), 7, np.uint8))
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    main(["finetune", *data, "--out=new", *TINY, "--steps=1"])
    printed = capsys.readouterr().err
    assert "a: 64 of 4096 pixels are NaN" in printed
    assert "b: the image is constant" in printed


def test_labels_of_another_shape_are_refused_by_evaluate_too(
    folder: Path, capsys: pytest.CaptureFixture
):
    tifffile.imwrite(folder / "labels" / "b.tif", SQUARE[:-1])
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    assert main(["evaluate", *data, "--model=tiny", "--device=cpu", "--json"]) == 1
    printed = capsys.readouterr()
    *before, last = printed.err.strip().splitlines()
    assert_one_line("\n".join(before), "b.tif", "63 x 64", "64 x 64", "same shape")
    assert "1 of 2 images could not be measured (1 measured)" in last
    figures = json.loads(printed.out)
    assert figures["images"] == 1
    assert list(figures["errors"]) == ["b.tif"]


@pytest.mark.slow
def test_a_mask_of_another_value_is_not_taken_for_many_classes(
    folder: Path, store: ModelStore, capsys: pytest.CaptureFixture
):
    for path in folder.glob("labels/*"):
        tifffile.imwrite(path, SQUARE * np.uint8(128))
    assert finetune(folder, *QUICK) == 1
    assert_one_line(capsys.readouterr().err, "0, 128", "--label-values mask")
    assert finetune(folder, *QUICK, "--label-values=mask") == 0
    assert finetune(folder, *QUICK, "--instances", "--overwrite") == 0
    assert store.info("new").spec.classes == ("background", "foreground")


# Paths


@pytest.mark.parametrize(
    "arguments", [["predict", "", "a.tif"], ["predict", "a.tif", ""]]
)
def test_an_empty_path_is_not_the_current_folder(
    folder: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
):
    monkeypatch.chdir(folder / "images")
    before = files_under(folder)
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--model=tiny"])
    assert exit_.value.code == 2
    assert "the path is empty" in capsys.readouterr().err
    assert files_under(folder) == before


def test_results_of_a_folder_do_not_go_to_a_file(
    folder: Path, capsys: pytest.CaptureFixture
):
    out = folder / "masks.tif"
    assert segment(folder / "images", out) == 1
    assert_one_line(capsys.readouterr().err, "masks.tif is the name of a file")
    assert not out.exists()


LIMITED = """
import resource, signal, sys
from unet_engine.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
sys.exit(main(sys.argv[1:]))
"""


def run_on_a_full_disk(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file above twenty bytes."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_disk_that_fills_up_leaves_the_old_result(folder: Path, suffix: str):
    source, out = folder / "a.tif", folder / f"out{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300)).astype(np.uint8)
    tifffile.imwrite(source, pixels)
    out.write_text("the old result")
    before = files_under(folder)
    done = run_on_a_full_disk(
        *("predict", str(source), str(out), "--model=tiny", "--device=cpu", "-q"),
        "--overwrite",
    )
    assert done.returncode == 1
    assert_one_line(done.stderr, "cannot be written", "free space")
    assert out.read_text() == "the old result"
    assert files_under(folder) == before


def full(*_: object, **__: object) -> None:
    raise OSError(28, os.strerror(28))


@pytest.mark.slow
def test_a_model_that_fits_nowhere_is_reported(
    folder: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(folder)
    before = files_under(folder)
    monkeypatch.setattr("unet_engine.files.atomic.os.replace", full)
    assert finetune(folder, *QUICK) == 1
    assert_one_line(capsys.readouterr().err, "No space left", "new", "kept anywhere")
    assert files_under(folder) == before


@pytest.mark.slow
def test_a_rescued_model_replaces_no_file(
    folder: Path,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(folder)
    for name in "new.v1.safetensors", "new.safetensors":
        (folder / name).write_text("precious")
    genuine = os.replace

    def full_store(source: Path, target: Path) -> None:
        if target.parent == store.root:
            full()
        genuine(source, target)

    monkeypatch.setattr("unet_engine.files.atomic.os.replace", full_store)
    assert finetune(folder, *QUICK, out="new.v1") == 1
    assert_one_line(capsys.readouterr().err, "new.v1-2.safetensors instead")
    assert Checkpoint.load(folder / "new.v1-2.safetensors").spec.width == 4
    for name in "new.v1.safetensors", "new.safetensors":
        assert (folder / name).read_text() == "precious"


# Names and settings


def test_the_suffix_is_no_part_of_the_name(folder: Path, store: ModelStore):
    assert finetune(folder, *QUICK, out="new.safetensors") == 0
    assert store.load("new").name == "new"


@pytest.mark.parametrize(
    ("option", "phrase"),
    [
        ("--seed=99999999999999999999999", "seed is"),
        ("--scaling=inf", "scaling is inf"),
        ("--border-weight=inf", "border_weight is inf"),
        ("--minutes=nan", "minutes is nan"),
        ("--learning-rate=nan", "learning_rate"),
        ("--classes=background,", "a class has no name"),
        ("--classes=a,a", "share a name"),
    ],
)
def test_extreme_settings_are_refused(
    folder: Path,
    store: ModelStore,
    capsys: pytest.CaptureFixture,
    option: str,
    phrase: str,
):
    assert finetune(folder, *QUICK, option) == 1
    assert_one_line(capsys.readouterr().err, phrase)
    assert "new" not in store.names()


# Models


def test_models_lists_strict_json_whatever_the_history_holds(
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    plain = ModelSpec(architecture="autoencoder", classes=(), depth=1, width=2)
    histories = ({"after": {"iou": float("nan")}}, {"after": "good"}, {"after": None})
    for number, entry in enumerate(histories):
        fresh = make_checkpoint(plain)
        checkpoint = Checkpoint(fresh.spec, fresh.weights, (entry,))
        store.save(f"odd {number}", checkpoint)
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [r["iou"] for r in rows if r["name"].startswith("odd")] == [None] * 3
    assert main(["models"]) == 0


# Interruptions and faults


def test_ctrl_c_while_the_program_loads_is_one_line():
    code = (
        "import sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'unet_engine.images':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "from unet_engine.cli import main\n"
        "sys.exit(main(['predict', 'a.tif', 'b.tif']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr == "napari-unet: interrupted, nothing was written\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_of_a_job_lets_the_run_end_well(
    number: signal.Signals, capfd: pytest.CaptureFixture
):
    before = signal.getsignal(number)
    with stop_on_interrupt("stopping") as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert capfd.readouterr().err == "\nstopping\n"
    assert signal.getsignal(number) is before


def test_a_fault_of_the_program_is_one_line_with_its_place(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a\nlong text")

    monkeypatch.setattr("unet_engine.cli.commands.predict.open_selected", fail)
    assert segment(folder / "images" / "a.tif", folder / "out.tif") == 1
    assert_one_line(
        capsys.readouterr().err,
        "a.tif: stopped by ValueError in fail",
        "test_bad_input.py",
        "a long text",
        "report",
    )
