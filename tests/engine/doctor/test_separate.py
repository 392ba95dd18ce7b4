"""Tests of the process of its own: it may end in any way."""

from __future__ import annotations

import json
import sys

import pytest

from unet_engine.doctor.finding import Finding
from unet_engine.doctor.separate import separate_findings

WELL = Finding(area="devices", state="ok", text="auto takes cpu")
SAY = f"print({json.dumps(WELL.to_dict())!r}, flush=True); "


def found(code: str, seconds: float = 60.0) -> list[Finding]:
    command = (sys.executable, "-c", code)
    return list(separate_findings(command=command, seconds=seconds))


def test_findings_pass_and_other_lines_do_not():
    assert found(f"print('a note of a library'); {SAY}") == [WELL]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals there")
def test_a_crash_is_a_finding():
    first, last = found(SAY + "import os; os.kill(os.getpid(), 11)")
    assert first == WELL
    assert last.state == "broken"
    assert "was ended by SIGSEGV" in last.text


def test_an_error_is_named():
    (only,) = found("raise ImportError('libcudart.so is missing')")
    assert only.state == "broken"
    assert only.text.endswith("ended with 1: ImportError: libcudart.so is missing")
    assert "fresh environment" in only.advice


@pytest.mark.slow
def test_a_process_that_hangs_is_ended():
    first, last = found(SAY + "import time; time.sleep(600)", seconds=5)
    assert first == WELL
    assert "did not end within 5 seconds" in last.text


def test_no_process_at_all():
    (only,) = separate_findings(command=("/no/such/python",))
    assert "no process can be started: No such file" in only.text


def test_it_stops():
    command = (sys.executable, "-c", SAY + SAY + "import time; time.sleep(600)")
    assert list(separate_findings(lambda: True, command=command)) == [WELL]


@pytest.mark.parametrize(
    "values", [None, [], {}, {**WELL.to_dict(), "state": "fine"}, {"area": "devices"}]
)
def test_only_findings_are_read(values: object):
    with pytest.raises(ValueError, match="it has"):
        Finding.from_dict(values)
