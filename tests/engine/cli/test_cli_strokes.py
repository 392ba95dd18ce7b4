"""``finetune --strokes``: the command line trains on strokes that were saved."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from unet_engine.annotations.store import STROKES_VARIABLE, ImageIdentity, StrokeStore
from unet_engine.cli import main
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.training import rounds
from unet_engine.training.events import FineTuned, Validation

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("background", "cell")


@dataclass
class Started:
    """What trainings were started with."""

    checkpoint: Any = None
    pairs: list[Any] = field(default_factory=list)
    config: Any = None


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Note what a training starts with, in place of it."""
    started = Started()

    def train(checkpoint: Any, pairs: Any, config: Any, **_: Any) -> Any:
        started.checkpoint, started.pairs, started.config = checkpoint, pairs, config
        look = Validation(step=1, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield look
        record = {"parent": checkpoint.name, "data": sorted(p.name for p in pairs)}
        made = replace(checkpoint, history=(*checkpoint.history, record))
        return FineTuned(
            checkpoint=made, improved=True, before=look, after=look, steps=1,
            stopped=False,
        )  # fmt: skip

    monkeypatch.setattr(rounds, "iter_fine_tune", train)
    return started


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StrokeStore:
    """The user's strokes; there are models as well."""
    monkeypatch.setenv(STROKES_VARIABLE, str(tmp_path / "strokes"))
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    spec = ModelSpec(depth=2, width=4, classes=NAMES)
    trained = replace(start_checkpoint(spec), history=({"data": ["other"]},))
    ModelStore().save("tiny", trained)
    return StrokeStore()


def paint(
    store: StrokeStore,
    path: Path,
    shape: tuple[int, ...] = (60, 64),
    axes: str = "YX",
    *,
    names: tuple[str, ...] = NAMES,
    values: tuple[int, ...] = (0, 1),
    layer: str = "layer",
) -> np.ndarray:
    """Write an image and paint a stroke of each value on it as the window does."""
    if not path.exists():
        pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(
            path, pixels, photometric="minisblack", metadata={"axes": axes}
        )
    pixels = tifffile.imread(path)
    image = Image.from_array(pixels, axes, name=layer)
    notes = store.open(ImageIdentity.of(image, path))
    if names:
        notes.name_classes(names)
    first = (0,) * (len(notes.shape) - 2)
    for number, value in enumerate(values):
        rows = slice(5 + 12 * number, 9 + 12 * number)
        labels = np.full((4, 30), value, np.uint8)
        notes.accept(first, (rows, slice(10, 40)), labels)
    notes.close()
    return pixels


def finetune(*arguments: object, out: str = "new") -> int:
    return main(["finetune", f"--out={out}", "--steps=2", *map(str, arguments)])


def assert_one_line(text: str, *parts: str) -> None:
    assert text.startswith("napari-unet: error: ")
    assert len(text.splitlines()) == 1
    for part in parts:
        assert part in text


def values_of(pair: Any) -> dict[int, int]:
    found, counts = np.unique(pair.target, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("way", ["folder", "image", "image in a folder"])
def test_strokes_are_found_by_their_folder_or_their_image(
    store: StrokeStore, tmp_path: Path, started: Started, way: str
):
    path = tmp_path / "a.tif"
    paint(store, path)
    paint(store, tmp_path / "b.tif")
    sources = [path]
    if way == "folder":
        sources = [store.root]
    elif way == "image in a folder":
        other = tmp_path / "copied"
        shutil.move(store.root, other)
        sources = [other, path]
    assert finetune("--from=tiny", "--strokes", *sources) == 0
    assert len(started.pairs) == (2 if way == "folder" else 1)
    found = values_of(started.pairs[0])
    assert (found[0], found[1]) == (120, 120)
    assert started.pairs[0].name == "layer"
    # Settings are those of the dock, which are made for strokes.
    assert (started.config.dice, started.config.elastic) == (False, 0.0)
    info = ModelStore().info("new")
    assert (info.history[-1]["parent"], info.history[-1]["base"]) == ("tiny", "tiny")


def test_strokes_of_a_stack_are_on_their_slices(
    store: StrokeStore, tmp_path: Path, started: Started
):
    paint(store, tmp_path / "a.tif", (3, 60, 64), "ZYX")
    assert finetune("--from=tiny", "--strokes", tmp_path / "a.tif") == 0
    (pair,) = started.pairs
    assert pair.name == "layer (0,)"
    assert (values_of(pair)[0], values_of(pair)[1]) == (120, 120)


def test_a_file_that_does_not_name_its_axes_has_those_of_its_layer(
    store: StrokeStore, tmp_path: Path, started: Started
):
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (3, 60, 64)).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)
    paint(store, path, axes="ZYX")
    assert finetune("--from=tiny", "--strokes", path) == 0
    assert started.pairs[0].name == "layer (0,)"


def test_strokes_and_label_files_are_learned_from_together(
    store: StrokeStore, tmp_path: Path, started: Started
):
    paint(store, tmp_path / "a.tif")
    for part, values in (("images", 9), ("labels", 1)):
        (tmp_path / part).mkdir()
        labels = np.zeros((40, 40), np.uint8)
        labels[:, :20] = values
        tifffile.imwrite(tmp_path / part / "b.tif", labels)
    folders = f"--images={tmp_path / 'images'}", f"--labels={tmp_path / 'labels'}"
    assert finetune(*folders, "--depth=2", "--width=4", "--strokes", store.root) == 0
    assert [pair.name for pair in started.pairs] == ["layer", "b"]
    assert started.checkpoint.spec.classes == NAMES


def test_the_classes_of_a_new_model_are_those_painted(
    store: StrokeStore, tmp_path: Path, started: Started
):
    names = ("background", "cell", "unused", "wall")
    paint(store, tmp_path / "a.tif", names=names, values=(1, 3))
    paint(store, tmp_path / "b.tif", names=("wall", "dirt"), values=(0, 1))
    tiny = "--depth=2", "--width=4"
    assert finetune(*tiny, "--strokes", store.root) == 0
    classes = started.checkpoint.spec.classes
    assert classes == ("background", "cell", "wall", "dirt")
    found = [values_of(pair) for pair in started.pairs]
    assert [set(values) - {255} for values in found] == [{1, 2}, {2, 3}]


def test_classes_that_the_model_lacks_are_named_and_can_be_added(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    paint(
        store, tmp_path / "a.tif", names=("background", "cell", "wall"), values=(1, 2)
    )
    assert finetune("--from=tiny", "--strokes", store.root) == 1
    error = capsys.readouterr().err
    assert_one_line(error, "layer", "'wall'", "--classes 'background,cell,wall'")
    added = error.split("--classes '")[1].split("'")[0]
    assert finetune("--from=tiny", f"--classes={added}", "--strokes", store.root) == 0
    assert started.checkpoint.spec.classes == ("background", "cell", "wall")
    assert set(values_of(started.pairs[0])) == {1, 2, 255}


def test_strokes_without_names_have_the_values_of_the_model(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    paint(store, tmp_path / "a.tif", names=())
    assert finetune("--from=tiny", "--strokes", store.root) == 0
    assert "were not saved with the strokes on layer" in capsys.readouterr().err
    assert set(values_of(started.pairs[0])) == {0, 1, 255}
    assert finetune("--depth=2", "--width=4", "--strokes", store.root, out="other") == 0
    assert started.checkpoint.spec.classes == ("background", "foreground")


def test_no_strokes_are_refused_and_the_advice_works(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    path, empty = tmp_path / "a.tif", tmp_path / "empty"
    empty.mkdir()
    paint(store, path)
    assert finetune("--from=tiny", "--strokes", empty) == 1
    assert_one_line(capsys.readouterr().err, str(empty), str(store.root))
    assert finetune("--from=tiny", "--strokes", store.root, out="one") == 0
    capsys.readouterr()
    other = tmp_path / "elsewhere"
    shutil.move(store.root, other)
    assert finetune("--from=tiny", "--strokes", path) == 1
    assert_one_line(capsys.readouterr().err, str(path), "--strokes FOLDER IMAGE")
    assert finetune("--from=tiny", "--strokes", other, path, out="two") == 0


def test_an_image_that_has_moved_is_found_when_it_is_named(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    path = tmp_path / "day" / "a.tif"
    paint(store, path)
    moved = tmp_path / "archive"
    path.parent.rename(moved)
    assert finetune("--from=tiny", "--strokes", store.root) == 1
    error = capsys.readouterr().err
    assert_one_line(error, str(path), "is not there any more", "IMAGE")
    folder = error.split("--strokes ")[1].split(" IMAGE")[0]
    assert finetune("--from=tiny", "--strokes", folder, moved / "a.tif") == 0
    assert len(started.pairs) == 1


def test_a_list_gives_the_strokes_on_its_images(
    store: StrokeStore, tmp_path: Path, started: Started, capsys: pytest.CaptureFixture
):
    for name in ("a", "b", "c"):
        paint(store, tmp_path / "day" / f"{name}.tif")
    (tmp_path / "day" / "c.tif").rename(tmp_path / "day" / "moved.tif")
    (tmp_path / "later").mkdir()
    (tmp_path / "day" / "b.tif").rename(tmp_path / "later" / "b.tif")
    plate = str(tmp_path / "plate.unet")
    main(["images", plate, "add", str(tmp_path / "later"), str(tmp_path / "day")])
    # Found under another path, but not under another name.
    assert finetune("--from=tiny", "--strokes", plate) == 0
    assert len(started.pairs) == 2
    for name in ("later/b.tif", "day/a.tif"):
        main(["images", plate, "remove", str(tmp_path / name)])
    capsys.readouterr()
    assert finetune("--from=tiny", "--strokes", plate, out="other") == 1
    assert_one_line(capsys.readouterr().err, "nothing was painted on", "paint on one")


def test_an_image_that_has_changed_is_refused(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    path = tmp_path / "a.tif"
    paint(store, path)
    tifffile.imwrite(path, np.full((60, 64), 7, np.uint8))
    os.utime(path, (1, 1))
    assert finetune("--from=tiny", "--strokes", path) == 1
    assert_one_line(capsys.readouterr().err, str(path), "has changed", "paint one more")
    # One more stroke in the window notes the image as it is now.
    image = Image.from_array(tifffile.imread(path), "YX", name="layer")
    notes = store.open(ImageIdentity.of(image, path))
    notes.accept((), (slice(50, 52), slice(10, 40)), np.ones((2, 30), np.uint8))
    notes.close()
    assert finetune("--from=tiny", "--strokes", path) == 0


def test_an_image_of_another_size_is_refused(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    path = tmp_path / "a.tif"
    paint(store, path)
    tifffile.imwrite(path, np.zeros((30, 30), np.uint8))
    assert finetune("--from=tiny", "--strokes", store.root) == 1
    assert_one_line(capsys.readouterr().err, str(path), "30 x 30", "60 x 64")


def test_strokes_on_an_image_from_no_file_are_refused(
    store: StrokeStore,
    tmp_path: Path,
    started: Started,
    capsys: pytest.CaptureFixture,
):
    image = Image.from_array(np.zeros((60, 64), np.uint8), "YX", name="sample")
    notes = store.open(ImageIdentity.of(image, None))
    notes.accept((), (slice(0, 4), slice(0, 4)), np.ones((4, 4), np.uint8))
    notes.close()
    paint(store, tmp_path / "a.tif")
    assert finetune("--from=tiny", "--strokes", store.root) == 1
    assert_one_line(capsys.readouterr().err, "'sample'", "--strokes IMAGE")
    assert finetune("--from=tiny", "--strokes", tmp_path / "a.tif") == 0


def test_strokes_in_use_are_read_and_nothing_is_written(
    store: StrokeStore, tmp_path: Path, started: Started
):
    path = tmp_path / "a.tif"
    pixels = paint(store, path)
    image = Image.from_array(pixels, "YX", name="layer")
    notes = store.open(ImageIdentity.of(image, path))
    before = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    assert finetune("--from=tiny", "--strokes", path) == 0
    after = {p: p.read_bytes() for p in store.root.rglob("*") if p.is_file()}
    assert after == before
    notes.accept((), (slice(50, 52), slice(10, 40)), np.ones((2, 30), np.uint8))
    assert not notes.save_error
    notes.close()


@pytest.mark.parametrize("given", [[], ["--images=a"], ["--labels=a"]])
def test_nothing_to_learn_from_is_wrong_usage(
    store: StrokeStore, capsys: pytest.CaptureFixture, given: list[str]
):
    with pytest.raises(SystemExit) as end:
        finetune(*given)
    assert end.value.code == 2
    assert "--strokes" in capsys.readouterr().err
