"""Tests of the devices and of the self-test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch

from unet_engine.doctor import computing
from unet_engine.doctor.computing import device_findings, self_test
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from unet_engine.doctor.finding import Finding


def cuda(driver: bool, reason: str, built_for: str | None) -> Callable[..., Finding]:
    """Return what is found of a GPU of NVIDIA on a made-up machine."""

    def find(monkeypatch: pytest.MonkeyPatch) -> Finding:
        monkeypatch.setattr(computing, "_has_nvidia_driver", lambda: driver)
        monkeypatch.setattr(computing, "why_unusable", lambda _: reason)
        monkeypatch.setattr(torch.version, "cuda", built_for)
        monkeypatch.setattr(torch.version, "hip", None)
        return list(device_findings())[1]

    return find


def test_no_gpu_is_nothing_to_mend(monkeypatch: pytest.MonkeyPatch):
    found = cuda(False, "PyTorch finds no such GPU", None)(monkeypatch)
    assert (found.state, found.advice) == ("ok", "")
    assert "no NVIDIA GPU" in found.text


def test_a_gpu_and_a_pytorch_for_the_cpu(monkeypatch: pytest.MonkeyPatch):
    found = cuda(True, "PyTorch finds no such GPU", None)(monkeypatch)
    assert found.state == "broken"
    assert "is a build for the CPU" in found.text
    assert "pytorch.org" in found.advice


def test_a_driver_that_is_too_old(monkeypatch: pytest.MonkeyPatch):
    reason = "The NVIDIA driver on your\nsystem is too old"
    found = cuda(True, reason, "13.0")(monkeypatch)
    assert found.state == "broken"
    assert found.text.endswith("The NVIDIA driver on your system is too old")
    assert found.advice.startswith("update the NVIDIA driver")
    assert "CUDA 13.0" in found.advice


def test_gpus_that_are_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = cuda(True, "PyTorch finds no such GPU", "13.0")(monkeypatch)
    assert found.state == "broken"
    assert "CUDA_VISIBLE_DEVICES" in found.advice


def test_a_gpu_that_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA RTX 9")
    properties = SimpleNamespace(total_memory=12 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    found = cuda(True, "", "13.0")(monkeypatch)
    assert (found.state, found.text) == ("ok", "cuda: NVIDIA RTX 9 (12 GB)")


def test_the_gpu_of_a_mac_that_fails_its_probe(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(computing.sys, "platform", "darwin")
    monkeypatch.setattr(computing, "choose_device", lambda _: "cpu")
    cuda(False, "an operation is missing", None)(monkeypatch)
    last = list(device_findings())[-1]
    assert last.state == "note"
    assert "an operation is missing" in last.text


def test_the_work_is_done():
    found = list(self_test())
    assert [f.text.partition(":")[0] for f in found] == ["predict", "Live", "train"]
    assert [(f.state, f.advice) for f in found] == [("ok", "")] * 3


def test_wrong_numbers_are_seen(monkeypatch: pytest.MonkeyPatch):
    def upside_down(*arguments: object) -> object:
        found = predict(*arguments)  # type: ignore[arg-type]
        return SimpleNamespace(labels=np.flipud(found.labels))

    monkeypatch.setattr(computing, "predict", upside_down)
    first = next(iter(self_test()))
    assert first.state == "broken"
    assert "computed wrongly" in first.text


def test_one_failure_does_not_hide_the_next(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> str:
        raise RuntimeError("could not create a primitive\nsecond line")

    monkeypatch.setattr(computing, "_predict", fail)
    monkeypatch.setattr(computing, "_live", lambda *_: "learned")
    monkeypatch.setattr(computing, "_train", fail)
    found = list(self_test())
    assert [f.state for f in found] == ["broken", "ok", "broken"]
    assert "RuntimeError: could not create a primitive second line" in found[0].text
