"""Tests that the search for faults finds them."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from fuzz import run  # noqa: E402
from fuzzing import files, watched  # noqa: E402
from fuzzing.port import PortTrials  # noqa: E402
from fuzzing.trial import Outcome, outcome_of  # noqa: E402
from fuzzing.watched import Crashed, FilesProcess  # noqa: E402

from unet_engine.errors import DataError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable


def raising(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_one_clear_line_is_no_fault():
    assert outcome_of(list) == Outcome()
    assert outcome_of(raising(DataError("no; do"))) == Outcome(refused="no; do")


@pytest.mark.parametrize(
    "error",
    [DataError("two\nlines"), DataError(""), DataError("x" * 1001), ValueError("x"),
     MemoryError(), RecursionError()],
    ids=lambda error: f"{type(error).__name__} {str(error)[:3]!r}",
)  # fmt: skip
def test_anything_else_is_a_fault(error: Exception):
    assert outcome_of(raising(error)).fault


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> files.FileTrials:
    """Trials without the models, which take seconds to make."""
    made = files.FileTrials.__new__(files.FileTrials)
    made.folder, made.sung = tmp_path, tmp_path / "sung"
    made.copy = tmp_path / "copy.zip"
    made.store = files.ModelStore(tmp_path / "models")
    made.store.root.mkdir()
    return made


def test_a_program_that_is_run_is_a_fault(
    trials: files.FileTrials, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        files, "import_package", lambda _, path: pickle.loads(path.read_bytes())
    )
    song = pickle.dumps(files.Canary(trials.sung))
    assert trials.add(song).fault == "a program in the file was run"
    assert not trials.sung.exists()


def test_what_is_left_or_taken_or_written_outside_is_a_fault(
    trials: files.FileTrials, monkeypatch: pytest.MonkeyPatch
):
    def leave(store: files.ModelStore, _: Path) -> None:
        (store.root / "half").touch()
        raise DataError("no")

    monkeypatch.setattr(files, "import_package", leave)
    assert trials.add(b"").fault == "half is left of what was refused"
    monkeypatch.setattr(files, "import_package", lambda *_: None)
    assert trials.add(b"").fault == ""
    assert "taken for a package" in trials.add(b"", forged=True).fault
    outside = trials.folder.parent / "fuzz_climbed.txt"
    outside.touch()
    assert "fuzz_climbed.txt was written" in trials.add(b"").fault
    outside.unlink()


def test_an_answer_without_the_token_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PortTrials, "lets_in", lambda *_, **__: Outcome())
    trials = PortTrials("tcp://127.0.0.1:1")
    assert "an answer without the token" in trials.judged(b"\x16hello").fault
    assert not trials.judged(b"\x15alert").fault
    assert not trials.judged(b"").fault


class Process:
    """One that does as it is told, in place of those that are watched."""

    kinds = ("one", "two")
    grown_mb = 7.0

    def __init__(self, told: list[object]) -> None:
        self.told = told
        self.seeds: list[str] = []

    def trial(self, _: str, seed: str) -> Outcome:
        self.seeds.append(seed)
        said = self.told.pop(0)
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, Outcome)
        return said

    def close(self) -> None:
        self.told.append("closed")


def test_faults_are_numbered_and_what_crashed_is_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    told: list[object] = [Outcome(refused="no"), Outcome(fault="bad"), Crashed("hung")]
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(told))
        return started[-1]

    # One look at the clock to begin with, one before each trial, and two in each.
    times = iter([0.0, *[1.0] * 9, 90.0])
    monkeypatch.setattr("fuzz.time.monotonic", lambda: next(times))
    tally = run(start, 1.0, 5, 3)  # type: ignore[arg-type]
    assert tally.faults == ["4 one: bad", "5 two: hung"]
    assert (tally.tried, tally.refused["two"]) == ({"one": 1, "two": 2}, 1)
    assert started[0].seeds == ["5:3", "5:4", "5:5"]
    assert len(started) == 2
    assert told == ["closed", "closed"]
    assert capsys.readouterr().out == "FAULT 4 one: bad\nFAULT 5 two: hung\n"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["files", "port"])
def test_it_tries_for_a_while(what: str, tmp_path: Path):
    table = tmp_path / "fuzz.json"
    words = [what, "--minutes=0.1", "--seed=3", f"--json={table}"]
    script = str(BENCHMARKS / "fuzz.py")
    subprocess.run([sys.executable, script, *words], check=True, capture_output=True)
    found = json.loads(table.read_text())
    assert found["faults"] == []
    assert min(found["tried"].values()) >= 1


@pytest.mark.slow
def test_a_process_that_hangs_or_ends_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    process = FilesProcess(tmp_path)
    monkeypatch.setattr(watched, "TRIAL_S", 0.0)
    with pytest.raises(Crashed, match="it hung for 0 s"):
        process.trial("package", "1:0")
    monkeypatch.undo()
    process._answer(30.0)
    process._process.kill()
    with pytest.raises(Crashed, match="ended with"):
        process._answer(30.0)
    process.close()
