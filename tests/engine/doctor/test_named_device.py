"""Tests of a device that the user named: what is found there, and no token of it."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from unet_engine.devices import checked_device
from unet_engine.doctor import computing, named_device
from unet_engine.doctor.computing import computing_findings, self_test
from unet_engine.doctor.finding import Finding
from unet_engine.doctor.named_device import device_finding
from unet_engine.doctor.separate import separate_findings
from unet_engine.remote.credentials import TOKEN_VARIABLE
from unet_engine.versions import VERSION, versions_of_work_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "A" * 43

SAY = """
import json, os, sys
found = {"area": "devices", "state": "ok", "advice": ""}
found["text"] = " ".join([*sys.argv[1:], os.environ.get("NAPARI_UNET_TOKEN", "")])
print(json.dumps(found))
"""


@pytest.fixture
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet_engine.devices._tokens", {})
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.mark.slow
def test_workers_predict_and_train_and_both_sides_are_listed():
    found = device_finding("local:2")
    assert found.state == "ok", found
    listed = ", ".join(f"{n} {v}" for n, v in versions_of_work_elsewhere().items())
    assert found.text.startswith("local:2: 2 workers ")
    assert f"napari-unet-finetune {VERSION} as here" in found.text
    assert f"there {listed}; here {listed}" in found.text
    tested = list(self_test("local:2"))
    assert [f.text.partition(": ")[0] for f in tested] == [
        "predict on local:2",
        "train on local:2",
    ]
    assert [(f.state, f.advice) for f in tested] == [("ok", "")] * 2


@pytest.mark.parametrize("device", ["cuda:99", "tcp://127.0.0.1:{port}"])
def test_a_device_that_is_not_there_is_named_and_this_machine_tested(
    device: str, no_tokens: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    tested: list[str] = []

    def test(device: str) -> Iterator[Finding]:
        tested.append(device)
        yield Finding(area="self-test", state="ok", text="predict")

    monkeypatch.setattr(computing, "self_test", test)
    with socket.create_server(("127.0.0.1", 0)) as free:
        device = device.format(port=free.getsockname()[1])
    *_, found, last = computing_findings(device)
    assert found.state == "broken"
    assert device.removeprefix("tcp://") in found.text
    assert found.advice.startswith(("use auto or cpu", "start napari-unet worker"))
    assert tested == ["auto"]
    assert last.text == "predict"


def test_a_device_of_this_machine_is_tested(monkeypatch: pytest.MonkeyPatch):
    devices: list[str] = []

    def work(*arguments: object) -> str:
        devices.append(str(arguments[-1]))
        return "works"

    for name in "_predict", "_live", "_train":
        monkeypatch.setattr(computing, name, work)
    *_, one, two, three, four = computing_findings("cpu")
    assert one.text == "cpu works"
    assert [f.text.partition(",")[0] for f in (two, three, four)] == [
        "predict on cpu: works",
        "Live on cpu: works",
        "train on cpu: works",
    ]
    assert devices == ["cpu"] * 3


def test_a_line_that_broke_during_the_test_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(computing, "_predict", lambda *_: "found")
    monkeypatch.setattr(computing, "_train", lambda *_: "trained")
    monkeypatch.setattr(named_device, "is_connected", lambda _: False)
    found = list(self_test("tcp://gpu:8786"))
    assert [f.state for f in found] == ["broken"] * 2
    assert "this machine did the work" in found[0].text


def test_other_versions_of_what_makes_the_line_are_a_note(
    monkeypatch: pytest.MonkeyPatch,
):
    class Line:
        device = "tcp://gpu:8786"

        def describe(self) -> str:
            return "2 workers with a GPU"

        def ask(self, *_: object, **__: object) -> dict[str, dict[str, str]]:
            other = versions_of_work_elsewhere() | {"distributed": "2020.1"}
            return {"a": other, "b": other}

    monkeypatch.setattr(named_device, "connect", lambda *_: Line())
    found = device_finding("tcp://gpu:8786")
    assert found.state == "note"
    assert found.text.count("distributed 2020.1") == 1
    here = versions_of_work_elsewhere()["distributed"]
    assert f"pip install distributed=={here} there" in found.advice


def test_the_token_goes_to_the_process_and_not_into_its_command(no_tokens: None):
    device = checked_device(f"tcp://{TOKEN}@gpu:8786")
    command = (sys.executable, "-c", SAY)
    (found,) = separate_findings(device=device, command=command)
    assert found.text == f"tcp://gpu:8786 {TOKEN}"
    assert TOKEN_VARIABLE not in os.environ
    (found,) = separate_findings(command=command)
    assert found.text == "auto "


def test_a_process_for_workers_that_fails_advises_to_look_there():
    code = "raise SystemExit(3)"
    (found,) = separate_findings(
        device="tcp://gpu:8786", command=(sys.executable, "-c", code)
    )
    assert "napari-unet worker still runs there" in found.advice
    assert json.loads(json.dumps(found.to_dict()))["state"] == "broken"
