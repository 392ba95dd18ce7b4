"""A training whose process is killed, and one that goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.torch

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course import interrupted_run
from unet_engine.training.data.labelled_images import PaintedImage
from unet_engine.training.events import Note, Step
from unet_engine.training.rounds import Round, train_round

if TYPE_CHECKING:
    from collections.abc import Generator

SPEC = ModelSpec(depth=2, width=4, classes=("background", "cell"))
CONFIG = {"device": "cpu", "minutes": 0, "steps": 24, "crop": 32, "batch": 2}
KILLED_AFTER = 13


def painted(value: float = 120.0) -> PaintedImage:
    image = np.random.default_rng(0).normal(40, 5, (64, 64)).astype(np.float32)
    image[20:44, 20:44] += value
    strokes = Annotations(image.shape)
    strokes.set(np.mgrid[28:34, 24:40].reshape(2, -1), 1)
    strokes.set(np.mgrid[52:58, 10:50].reshape(2, -1), 0)
    strokes.set(np.mgrid[4:8, 10:50].reshape(2, -1), 0)
    return PaintedImage(
        image=Image.from_array(image, "YX", name="cells"), strokes=strokes
    )


def round_of(
    root: Path, *, value: float = 120.0, **options: Any
) -> Generator[Any, None, Any]:
    """Return a training, which is kept after every step."""
    interrupted_run._INTERVAL_S = 0.0
    values = {**CONFIG, **{k: v for k, v in options.items() if k != "resumes"}}
    order = Round(
        start=start_checkpoint(SPEC),
        data=[painted(value)],
        config=FineTuneConfig(**values),
        name="mine",
        resumes=options.get("resumes", False),
    )
    return train_round(order, ModelStore(root), folders=[])


def train(
    root: Path, *, kill: int = 0, stop: int = 0, **options: Any
) -> tuple[list[Any], Any]:
    """Train; end the process or the training after a step."""
    events: list[Any] = []

    def follow(event: Any) -> None:
        events.append(event)
        if isinstance(event, Step) and event.step - 1 == kill > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(event, Step) and event.step - 1 == stop > 0:
            raise KeyboardInterrupt

    return events, drain(round_of(root, **options), follow)


@pytest.fixture(autouse=True)
def interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupted_run, "_INTERVAL_S", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what a training makes that nobody interrupts."""
    _, trained = train(tmp_path_factory.mktemp("whole"))
    return trained.result


def killed(root: Path, **options: Any) -> Path:
    """Let a process train until it is killed; return the file that it leaves."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "import test_interrupted_run as t;"
        f"t.train(Path(sys.argv[2]), kill={KILLED_AFTER}, **{options!r})"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(root)], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return root / "mine.training"


def begin(root: Path, **options: Any) -> list[Any]:
    """Return the events up to the end of the first step that is taken."""
    events: list[Any] = []
    with closing(round_of(root, **options)) as run:
        while not isinstance(event := next(run), Step):
            events.append(event)
    return [*events, event]


@pytest.fixture(scope="module")
def file_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return interrupted(tmp_path_factory.mktemp("interrupted")).read_bytes()


def interrupted(root: Path, **options: Any) -> Path:
    """Do as ``killed`` in this process."""
    with pytest.raises(KeyboardInterrupt):
        train(root, stop=KILLED_AFTER, **options)
    return root / "mine.training"


def notes(events: list[Any]) -> str:
    return " ".join(event.line for event in events if isinstance(event, Note))


def first_step(events: list[Any]) -> int:
    return next(event.step for event in events if isinstance(event, Step))


def same_weights(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(values, other.checkpoint.weights[name])
        for name, values in one.checkpoint.weights.items()
    )


@pytest.mark.slow
@pytest.mark.cpu
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path, whole: Any):
    file = killed(tmp_path)
    assert file.is_file()
    events, trained = train(tmp_path, resumes=True)
    assert f"goes on after step {KILLED_AFTER}" in notes(events)
    assert first_step(events) == KILLED_AFTER + 1
    assert same_weights(trained.result, whole)
    found, expected = trained.result, whole
    assert (found.after.iou, found.after.step) == (
        expected.after.iou,
        expected.after.step,
    )
    assert found.before.iou == expected.before.iou
    assert not file.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"optimiser": "sgd"}, {"border_weight": 5.0}, {"statistics": "frozen"}]
)
def test_so_does_one_with_other_settings(tmp_path: Path, options: dict[str, Any]):
    _, trained = train(tmp_path / "whole", **options)
    interrupted(tmp_path, **options)
    events, again = train(tmp_path, resumes=True, **options)
    assert first_step(events) == KILLED_AFTER + 1
    assert same_weights(again.result, trained.result)


def test_without_being_resumed_it_starts_anew(tmp_path: Path, file_of_a_run: bytes):
    (tmp_path / "mine.training").write_bytes(file_of_a_run)
    assert first_step(begin(tmp_path)) == 1


def test_where_nothing_was_interrupted_it_starts(tmp_path: Path):
    events, _ = train(tmp_path, resumes=True, steps=3)
    assert "no interrupted training" in notes(events)
    assert first_step(events) == 1
    assert not list(tmp_path.glob("*.training"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"value": 90.0}, "images, labels or what is held out of them have changed"),
        ({"learning_rate": 0.5}, "other settings"),
        ({"seed": 4}, "other settings"),
    ],
)
def test_of_other_data_or_settings_it_starts_anew(
    tmp_path: Path, file_of_a_run: bytes, options: dict[str, Any], reason: str
):
    (tmp_path / "mine.training").write_bytes(file_of_a_run)
    events = begin(tmp_path, resumes=True, **options)
    assert reason in notes(events)
    assert first_step(events) == 1


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_file_of_ours(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95cposix\nsystem\n" * 20)


def _changed(change: Any) -> Any:
    def edit(path: Path) -> None:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        change(header, tensors)
        path.write_bytes(safetensors.torch.save(tensors, header))

    return edit


DAMAGES = {
    "cut": _cut,
    "foreign": _no_file_of_ours,
    "earlier version": _changed(lambda header, _: header.update(version="0")),
    "no state": _changed(lambda header, _: header.pop("state")),
    "state is a list": _changed(lambda header, _: header.update(state="[]")),
    "negative step": _changed(
        lambda header, _: header.update(
            state=header["state"].replace('"step": 13', '"step": -1')
        )
    ),
    "weight of another shape": _changed(
        lambda _, tensors: tensors.update(
            {n: t[:1] for n, t in tensors.items() if n.endswith("head.weight")}
        )
    ),
    "moment is missing": _changed(
        lambda _, tensors: tensors.pop("optimisation.optimiser.0.mean")
    ),
    "generator of another size": _changed(
        lambda _, tensors: tensors.update(
            {
                "optimisation.chance.crops": tensors["optimisation.chance.crops"][
                    :7
                ].clone()
            }
        )
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_is_damaged_or_not_ours_is_named_and_not_used(
    tmp_path: Path, file_of_a_run: bytes, damage: Any
):
    file = tmp_path / "mine.training"
    file.write_bytes(file_of_a_run)
    # As it was it is used.
    assert first_step(begin(tmp_path, resumes=True)) == KILLED_AFTER + 1
    file.write_bytes(file_of_a_run)
    damage(file)
    events = begin(tmp_path, resumes=True)
    assert "starts anew" in notes(events)
    assert str(file) in notes(events)
    assert first_step(events) == 1


@pytest.mark.slow
def test_what_cannot_be_restored_changes_nothing(
    tmp_path: Path, whole: Any, file_of_a_run: bytes
):
    file = tmp_path / "mine.training"
    file.write_bytes(file_of_a_run)
    DAMAGES["moment is missing"](file)
    _, trained = train(tmp_path, resumes=True)
    assert same_weights(trained.result, whole)


def test_a_file_that_cannot_be_written_ends_no_training(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
):
    def full(path: Any) -> Any:
        raise DataError(f"the disk of {path} is full")

    monkeypatch.setattr(interrupted_run, "whole_file", full)
    events, trained = train(tmp_path)
    assert notes(events).count("is not kept") == 1
    assert same_weights(trained.result, whole)


def test_the_first_training_of_a_store_is_kept_as_well(tmp_path: Path):
    folder = tmp_path / "not" / "there yet"
    events, _ = train(folder)
    assert "is not kept" not in notes(events)
