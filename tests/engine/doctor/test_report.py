"""Tests of the report and of ``napari-unet doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from unet_engine.cli import main
from unet_engine.doctor import report
from unet_engine.doctor.finding import Finding
from unet_engine.doctor.report import iter_findings, text_of
from unet_engine.generators import drain

if TYPE_CHECKING:
    from collections.abc import Iterator

WELL = Finding(area="libraries", state="ok", text="torch 2.13.0")
NOTE = Finding(area="display", state="note", text="no screen", advice="get one")
FULL = Finding(
    area="folders",
    state="broken",
    text=f"the disk of {Path.home() / 'models'} is full",
    advice="free some space",
)


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return what is found of the folders; everything else is well."""
    found: list[Finding] = []
    monkeypatch.setattr(report, "library_findings", lambda: [WELL])
    monkeypatch.setattr(report, "folder_findings", lambda: found)
    monkeypatch.setattr(report, "model_findings", list)
    monkeypatch.setattr(report, "display_findings", lambda: [NOTE])
    monkeypatch.setattr(report, "separate_findings", lambda *_, **__: [])
    return found


def test_a_note_is_no_fault(folders: list[Finding], capfd: pytest.CaptureFixture):
    assert main(["doctor"]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[0].startswith("napari-unet-finetune ")
    assert printed[1:] == [
        "libraries",
        "  ok      torch 2.13.0",
        "display",
        "  note    no screen",
        "          -> get one",
        "All is well.",
    ]


def test_a_fault_is(folders: list[Finding], capfd: pytest.CaptureFixture):
    folders.append(FULL)
    assert main(["doctor"]) == 1
    printed = capfd.readouterr().out
    home_is_hidden = f"  BROKEN  the disk of {Path('~/models')} is full"
    assert home_is_hidden in printed.splitlines()
    assert printed.endswith("1 thing is broken.\n")
    assert printed == text_of((WELL, FULL, NOTE)) + "\n"


def test_json(folders: list[Finding], capfd: pytest.CaptureFixture):
    folders.append(FULL)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert found["well"] is False
    assert [one["state"] for one in found["findings"]] == ["ok", "broken", "note"]
    assert Finding.from_dict(found["findings"][2]) == NOTE


def test_what_cannot_be_looked_at_does_not_end_it(
    folders: list[Finding], monkeypatch: pytest.MonkeyPatch
):
    def fail() -> Iterator[Finding]:
        yield FULL
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(report, "folder_findings", fail)
    found = drain(iter_findings())
    assert [one.area for one in found] == ["libraries", "folders", "folders", "display"]
    assert "could not be looked at: PermissionError" in found[2].text


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_device_is_tested_and_its_token_is_not_in_the_report(
    folders: list[Finding],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
):
    def found(_: object, *, device: str) -> Iterator[Finding]:
        yield Finding(area="devices", state="ok", text=f"{device} works")

    monkeypatch.setattr(report, "separate_findings", found)
    token = "A" * 43
    assert main(["doctor", "--device", f"tcp://{token}@gpu:8786", *words]) == 0
    printed = capfd.readouterr()
    assert "tcp://gpu:8786 works" in printed.out
    assert token not in printed.out + printed.err


def test_what_is_no_device_is_one_line(capfd: pytest.CaptureFixture):
    assert main(["doctor", "--device", f"{'A' * 43}@gpu"]) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert "use auto, cpu, cuda" in line
    assert "AAAA" not in line


def test_it_stops_after_a_finding(folders: list[Finding]):
    assert drain(iter_findings(lambda: True)) == (WELL,)


@pytest.mark.slow
def test_this_installation(capfd: pytest.CaptureFixture):
    """All of it, with the process of its own."""
    main(["doctor", "--json"])
    found = json.loads(capfd.readouterr().out)["findings"]
    assert [one["state"] for one in found[-3:]] == ["ok"] * 3, found
    assert {one["area"] for one in found} == {
        "libraries",
        "folders",
        "models",
        "display",
        "devices",
        "self-test",
    }
