"""Starting workers where that cannot be."""

import gc
import os
import signal
import socket
import subprocess
import sys
import warnings

import pytest

from unet_engine.errors import EngineError
from unet_engine.remote.credentials import new_token
from unet_engine.stopping import never
from unet_engine.worker import serving as module
from unet_engine.worker.serving import joining, serving


@pytest.fixture(autouse=True)
def _sockets_are_collected():
    """Collect what tornado leaves open where it cannot listen."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _serve(**place):
    with serving(new_token(), processes=1, device="cpu", **place):
        raise AssertionError


def test_a_port_that_is_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} .* is in use; .* --port"):
            _serve(host="127.0.0.1", port=port)


def test_an_address_of_another_machine_is_named():
    # Of a range that is kept for documents (RFC 5737).
    with pytest.raises(EngineError, match=r"192\.0\.2\.1:0 cannot .* --host"):
        _serve(host="192.0.2.1", port=0)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_worker_and_its_processes_without_a_traceback():
    words = ["worker", "--device", "cpu", "--port", "0"]
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from unet_engine.cli import main
sys.exit(main({words!r}))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("1 process computes"), process.stderr.read()
            # As a terminal does: to all that was started from it.
            os.killpg(process.pid, signal.SIGINT)
            errors = process.communicate(timeout=60)[1]
        finally:
            process.kill()

    assert errors.split("\n") == ["", "ending; once more ends at once", ""]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [(None, "gpu:8786 ended.*start it there"),
     (RuntimeError("Nanny failed"), r"not be started \(Nanny failed\).* doctor")],
)  # fmt: skip
def test_who_joins_learns_why_it_ended(monkeypatch, error, message):
    async def run_workers(_workers, _stop):
        if error:
            raise error

    monkeypatch.setattr(module, "_run_workers", run_workers)
    monkeypatch.setattr(module, "check_reachable", lambda _: None)

    with pytest.raises(EngineError, match=message):
        joining(f"tcp://{new_token()}@gpu:8786", 1, "cpu", never)


@pytest.mark.parametrize(
    ("visible", "device", "processes", "expected"),
    [("", "auto", 0, ["0", "1"]), ("", "auto", 3, ["0", "1", "0"]),
     ("", "cuda:1", 0, ["1"]), ("", "cpu", 2, ["", ""]),
     # As a queue hands them to a job.
     ("3,GPU-5ca1ab1e", "auto", 0, ["3", "GPU-5ca1ab1e"]), ("3,4", "cuda:1", 1, ["4"])],
)  # fmt: skip
def test_each_process_gets_a_gpu_of_those_that_are_given(
    monkeypatch, visible, device, processes, expected
):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    found = module._environments(processes, device)

    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == expected
