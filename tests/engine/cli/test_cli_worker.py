"""Tests of the command of a worker: what it refuses, in one line."""

from __future__ import annotations

import pytest
import torch

from unet_engine.cli import main
from unet_engine.errors import DeviceError
from unet_engine.worker import serving

TOKEN = "A" * 43


def refused(words: list[str], capsys: pytest.CaptureFixture) -> str:
    assert main(["worker", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", TOKEN, f"{TOKEN}@gpu"])
def test_no_device_is_refused_with_what_a_worker_can_take(
    device: str, capsys: pytest.CaptureFixture
):
    line = refused([f"--device={device}"], capsys)
    assert "use auto, cpu, cuda, cuda:1 or mps" in line
    for other in ("tcp://", "local:", TOKEN):
        assert other not in line


@pytest.mark.parametrize("device", ["local:2", f"tcp://{TOKEN}@gpu:8786", "tcp://"])
def test_workers_are_no_device_of_a_worker(device: str, capsys: pytest.CaptureFixture):
    line = refused([f"--device={device}"], capsys)
    assert "use auto, cpu or cuda, or --join" in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    ("gpus", "advice"), [(0, "--device cpu"), (1, "cuda:0"), (4, "cuda:0 to cuda:3")]
)
def test_a_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, gpus: int, advice: str
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(DeviceError, match=f"use --device {advice}|use {advice}"):
        serving._environments(0, "cuda:7")
    if gpus == 4:
        assert serving._environments(1, "cuda:3") == [{"CUDA_VISIBLE_DEVICES": "3"}]
