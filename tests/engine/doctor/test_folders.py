"""Tests of what is found about folders."""

from __future__ import annotations

import shutil
import tempfile
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest
from full_disk import full_disk

from unet_engine.annotations.store import STROKES_VARIABLE
from unet_engine.doctor.folders import folder_findings
from unet_engine.models.store import MODELS_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "data" / "models"))
    monkeypatch.setenv(STROKES_VARIABLE, str(tmp_path / "data" / "strokes"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_folders_that_can_be_written_to_are_well_and_not_made(folders: Path):
    found = list(folder_findings())
    assert [f.state for f in found if "left" not in f.text] == ["ok"] * 3
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize(
    ("free", "state"), [(2**33, "ok"), (2**28, "note"), (2**20, "broken")]
)
def test_room_that_is_left(
    folders: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 0, free))
    found = list(folder_findings())
    assert [f.state for f in found] == [state] * 3
    if state != "ok":
        assert [f.advice.split()[-1] for f in found] == [
            MODELS_VARIABLE,
            STROKES_VARIABLE,
            "TMPDIR",
        ]


def test_a_disk_on_which_nothing_more_can_be_written(folders: Path):
    with full_disk(0):
        found = list(folder_findings())
    assert [f.state for f in found] == ["broken"] * 3
    assert "cannot be written to" in found[0].text
    assert list(folders.iterdir()) == []


def test_a_file_in_the_place_of_a_folder(folders: Path):
    (folders / "data").write_text("in the way")
    models, strokes, temporary = folder_findings()
    assert (models.state, strokes.state, temporary.state) == ("broken", "broken", "ok")
    assert f"make {folders / 'data'} a folder" in models.advice
    (folders / "data").unlink()
    assert next(iter(folder_findings())).state == "ok"


def test_no_place_for_temporary_files(folders: Path, monkeypatch: pytest.MonkeyPatch):
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    last = list(folder_findings())[-1]
    assert last.state == "broken"
    assert "TMPDIR" in last.advice
