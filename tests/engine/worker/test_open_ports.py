"""What is open while workers run: at the given address alone, behind the token."""

import os
import random
import sys
from pathlib import Path

import psutil
import pytest

from unet_engine.devices import host_and_port
from unet_engine.remote import local_workers
from unet_engine.remote.handshake import check_reachable

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from fuzzing.port import KINDS, PortTrials, answer_to

_ROUNDS = 10
"""Of each kind of rubbish."""


@pytest.fixture(scope="module")
def served():
    workers = local_workers._start(1)
    yield workers
    workers.close()
    workers.process.wait(timeout=20)


@pytest.fixture(scope="module")
def places(served):
    """Where the scheduler and its processes listen."""
    root = psutil.Process(served.process.pid)
    processes = [root, *root.children(recursive=True)]
    found = [
        connection.laddr
        for process in processes
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert host_and_port(served.device)[1] in {place.port for place in found}
    return found


def test_ctrl_c_in_the_terminal_spares_the_processes(served):
    assert os.name == "nt" or os.getpgid(served.process.pid) != os.getpgid(0)


@pytest.mark.slow
def test_nothing_listens_at_another_address(places):
    assert {place.ip for place in places} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "content",
    [b"GET /status HTTP/1.0\r\n\r\n", b"GET /info/main/workers.html HTTP/1.0\r\n\r\n",
     b"\x00" * 64, b"\x80\x04\x95" + bytes(range(256)), b"SSH-2.0-x\r\n"],
)  # fmt: skip
def test_a_scan_of_the_ports_finds_nothing(served, places, content):
    for place in places:
        answer = answer_to(place, content)
        # A refusal of TLS, or of the web server that dask always starts, here alone.
        assert not answer or answer[0] == 21 or b" 404 " in answer.splitlines()[0]
    check_reachable(served.device)


@pytest.mark.parametrize("kind", KINDS)
def test_rubbish_at_the_port_changes_nothing(served, kind):
    """``benchmarks/fuzz.py`` goes on with it for minutes."""
    trials = PortTrials(served.device)
    for number in range(_ROUNDS):
        found = KINDS[kind](trials, random.Random(number))
        assert not found.fault, (number, found)


def test_after_all_of_it_the_token_still_lets_in(served):
    for _ in range(3):
        check_reachable(served.device)
