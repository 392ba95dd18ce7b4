"""Tests of the report for a bug."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtWidgets import QApplication, QWidget

from napari_unet.steps.predict import bug_report
from napari_unet.steps.predict.bug_report import BugReport
from unet_engine.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

WELL = Finding(area="libraries", state="ok", text="torch 2.13.0")
FULL = Finding(
    area="folders", state="broken", text="the disk is full", advice="free some space"
)


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return what is found, to be added to."""
    found = [WELL]

    def iterate(
        _: Any, *, device: str
    ) -> Generator[Finding, None, tuple[Finding, ...]]:
        tested = Finding(area="devices", state="ok", text=f"{device} works")
        yield from (*found, tested)
        return (*found, tested)

    monkeypatch.setattr(bug_report, "iter_findings", iterate)
    about = f"\x1b[1mnapari\x1b[0m: 0.9\n{Path.home() / 'napari.txt'}"
    monkeypatch.setattr(bug_report, "sys_info", lambda: about)
    return found


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return what the user was told, and how."""
    lines: list[tuple[str, str]] = []
    for name in "show_info", "show_warning", "show_error":
        monkeypatch.setattr(
            bug_report, name, lambda text, name=name: lines.append((name, text))
        )
    return lines


@pytest.fixture
def report(qtbot: Any) -> Iterator[BugReport]:
    parent = QWidget()
    qtbot.addWidget(parent)
    QApplication.clipboard().clear()
    yield BugReport(parent, lambda: "tcp://gpu:8786")


def made(report: BugReport, qtbot: Any) -> str:
    states: list[bool] = []
    report.busy.connect(states.append)
    report.start()
    report.start()
    qtbot.waitUntil(lambda: states == [True, False], timeout=10_000)
    return QApplication.clipboard().text()


def test_it_is_copied(findings: list[Finding], said: list, report: BugReport, qtbot):
    copied = made(report, qtbot)
    assert "  ok      torch 2.13.0\n" in copied
    assert "  ok      tcp://gpu:8786 works\nAll is well.\n" in copied
    assert copied.endswith(f"\n\nnapari: 0.9\n{Path('~/napari.txt')}\n")
    assert [how for how, _ in said] == ["show_info", "show_info"]
    assert " on tcp://gpu:8786 on a generated image" in said[0][1]
    assert said[1][1].startswith("The report is in the clipboard. All is well.")


def test_the_first_fault_is_said_with_what_to_do(
    findings: list[Finding], said: list, report: BugReport, qtbot
):
    findings.append(FULL)
    assert "-> free some space" in made(report, qtbot)
    assert said[1] == (
        "show_warning",
        "The report is in the clipboard. 1 thing is broken. the disk is full. What to "
        "do: free some space.",
    )


def test_it_can_be_made_again(
    findings: list[Finding], said: list, report: BugReport, qtbot
):
    made(report, qtbot)
    findings.append(FULL)
    assert "the disk is full" in made(report, qtbot)
