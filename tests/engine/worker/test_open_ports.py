"""What is open while workers run: at the given address alone, behind the token."""

import os
import socket
import ssl

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unet_engine.devices import host_and_port
from unet_engine.remote import local_workers
from unet_engine.remote.credentials import new_token, security_of
from unet_engine.remote.handshake import check_reachable

_ANSWER_S = 3.0
"""Seconds that an answer is awaited: most ports close the line at once."""


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


def _answer(place, content):
    with socket.create_connection(place, timeout=_ANSWER_S) as line:
        try:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            return line.recv(4096)
        except OSError:
            return b""


def test_ctrl_c_in_the_terminal_spares_the_processes(served):
    assert os.name == "nt" or os.getpgid(served.process.pid) != os.getpgid(0)


def test_nothing_listens_at_another_address(places):
    assert {place.ip for place in places} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "content",
    [b"GET /status HTTP/1.0\r\n\r\n", b"GET /info/main/workers.html HTTP/1.0\r\n\r\n",
     b"\x00" * 64, b"\x80\x04\x95" + bytes(range(256)), b"SSH-2.0-x\r\n"],
)  # fmt: skip
def test_a_scan_of_the_ports_finds_nothing(served, places, content):
    for place in places:
        answer = _answer(place, content)
        # A refusal of TLS, or of the web server that dask always starts, here alone.
        assert not answer or answer[0] == 21 or b" 404 " in answer.splitlines()[0]
    check_reachable(served.device)


def test_who_has_no_token_or_another_one_gets_no_further_than_tls(served):
    without = ssl.create_default_context()
    without.check_hostname, without.verify_mode = False, ssl.CERT_NONE
    arguments = security_of(new_token()).get_connection_args("client")
    other = arguments["ssl_context"]
    other.verify_mode = ssl.CERT_NONE
    for context in (without, other):
        received = b""
        with socket.create_connection(host_and_port(served.device)) as line:
            line.settimeout(_ANSWER_S)
            try:
                with context.wrap_socket(line) as tunnel:
                    tunnel.sendall(b"\x00" * 64)
                    received = tunnel.recv(4096)
            except OSError:
                pass
        assert received == b""


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        # What looks like the beginning of TLS.
        st.binary(max_size=300).map(lambda rest: b"\x16\x03\x01\x01\x2c\x01" + rest),
    )
)
def test_random_bytes_change_nothing(served, content):
    answer = _answer(host_and_port(served.device), content)

    assert not answer or answer[0] == 21


def test_after_all_of_it_the_token_still_lets_in(served):
    for _ in range(3):
        check_reachable(served.device)
