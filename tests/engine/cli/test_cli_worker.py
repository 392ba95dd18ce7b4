"""What a worker refuses, in one line, and the line that it prints."""

from __future__ import annotations

import pytest
import torch

from unet_engine.cli import main
from unet_engine.cli.commands.worker import _invitation
from unet_engine.devices import checked_device, host_and_port
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


@pytest.mark.parametrize(
    "device", ["local:2", "TCP://gpu:8786", f"tcp://{TOKEN}@gpu:8786", "tcp://"]
)
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


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        # No address would be all of them.
        (["--host", ""], "127.0.0.1 for it alone"),
        (["--host", "tcp://127.0.0.1:8786"], "127.0.0.1 for it alone"),
        (["--port", "-1"], "1024 to 65535"),
        (["--port", "65536"], "1024 to 65535"),
        (["--processes", "-1"], "or 0"),
        (["--join", "cpu"], "TOKEN@host:port"),
        (["--join", "local:2"], "TOKEN@host:port"),
        (["--join", f"{TOKEN}@gpu:8786"], "TOKEN@host:port"),
    ],
)
def test_other_options_that_cannot_be(
    options: list[str], advice: str, capsys: pytest.CaptureFixture
):
    line = refused(options, capsys)
    assert advice in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "fe80::1"]
)
def test_the_printed_line_is_a_device(host: str):
    text = _invitation(host, 8786, TOKEN, 1)
    (line,) = [one for one in text.splitlines() if one.startswith("  tcp://")]
    assert host_and_port(checked_device(line))[1] == 8786


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "i.tif", "o.tif", f"--devices=tcp://{TOKEN}@gpu:8786"],
        ["predict", f"tcp://{TOKEN}@gpu:8786", "o.tif"],
        ["worker", f"TCP://{TOKEN}@gpu:8786"],
        ["worker", "--port", f"tcp://{TOKEN}@gpu:8786"],
        ["models", "import", f"tcp://{TOKEN}@gpu:8786"],
        ["models", "show", f"tcp://{TOKEN}@gpu:8786"],
        ["finetune", "--images", f"tcp://{TOKEN}@gpu:8786", "--labels=x", "--out=y"],
        ["report", f"tcp://{TOKEN}@gpu:8786", "report.html"],
    ],
)
def test_a_line_in_the_wrong_place_is_not_repeated(
    words: list[str], capsys: pytest.CaptureFixture
):
    try:
        assert main(words) == 1
    except SystemExit as error:
        assert error.code == 2
    captured = capsys.readouterr()
    assert "error" in captured.err
    assert TOKEN not in captured.out + captured.err
