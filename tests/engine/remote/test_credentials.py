"""Tokens: who has another one gets nothing; none is shown or kept by chance."""

import errno
import json
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.devices import checked_device, given_token, is_remote
from unet_engine.errors import DeviceError, EngineError, SpecError
from unet_engine.prediction.config import PredictConfig
from unet_engine.remote import credentials, handshake
from unet_engine.remote.connection import connect
from unet_engine.remote.credentials import (
    kept_token,
    new_token,
    remember_token,
    remembered_devices,
    security_of,
    token_for,
)
from unet_engine.remote.handshake import check_reachable
from unet_engine.stopping import never

TOKEN = "A" * 43


@pytest.fixture
def no_tokens(monkeypatch, tmp_path):
    monkeypatch.setattr("unet_engine.devices._tokens", {})
    monkeypatch.delenv(credentials.TOKEN_VARIABLE, raising=False)
    monkeypatch.setattr(credentials, "_tokens_file", lambda: tmp_path / "c" / "t.json")


def test_both_ends_make_the_same_certificate_from_a_token():
    first = security_of(TOKEN)
    security_of.cache_clear()

    assert security_of(TOKEN).tls_ca_file == first.tls_ca_file
    assert security_of(new_token()).tls_ca_file != first.tls_ca_file


@pytest.mark.parametrize("token", ["", "short", TOKEN[:-1], TOKEN + "A", "é" * 43])
def test_a_token_that_is_cut_off_is_refused(token):
    with pytest.raises(EngineError, match="copy the whole line"):
        security_of(token)


def test_a_configuration_does_not_show_the_token(no_tokens):
    config = PredictConfig(device=f"tcp://{TOKEN}@gpu:8786")

    assert config.device == "tcp://gpu:8786"
    assert TOKEN not in repr(config)
    assert token_for(config.device) == TOKEN


def test_without_a_token_the_message_says_where_to_get_one(no_tokens, monkeypatch):
    with pytest.raises(EngineError, match=credentials.TOKEN_VARIABLE):
        token_for("tcp://gpu:8786")

    monkeypatch.setenv(credentials.TOKEN_VARIABLE, TOKEN)

    assert token_for("tcp://gpu:8786") == TOKEN


def test_a_remembered_token_is_read_by_this_user_alone(no_tokens):
    device = checked_device(f"tcp://{TOKEN}@gpu:8786")
    remember_token(device)
    file = credentials._tokens_file()

    assert json.loads(file.read_text()) == {"gpu:8786": TOKEN}
    assert os.name == "nt" or file.stat().st_mode & 0o077 == 0


def test_a_token_file_is_made_once_for_this_user_alone(tmp_path):
    path = tmp_path / "folder" / "token"
    token = kept_token(path)

    assert kept_token(path) == token
    assert os.name == "nt" or path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", b"not a token", TOKEN[:-1].encode(), b"Bearer " + TOKEN.encode(),
     bytes(range(256)), f"tcp://{TOKEN}@gpu:8786".encode(), b"A" * 2**16],
)  # fmt: skip
def test_a_file_with_something_else_is_named_and_made_after_it_was_deleted(
    tmp_path, content
):
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(EngineError, match="delete it to have one made") as caught:
        kept_token(path)
    assert str(path) in str(caught.value)
    assert TOKEN not in str(caught.value)

    path.unlink()

    assert len(kept_token(path)) == 43


def test_a_file_that_ends_with_a_line_break_holds_a_token(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)

    assert kept_token(path) == TOKEN


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_is_open_to_others_is_refused_until_it_is_closed(tmp_path, mode):
    path = tmp_path / "my token"
    path.write_text(TOKEN)
    path.chmod(mode)
    with pytest.raises(EngineError, match=r"by other users.*chmod 600") as caught:
        kept_token(path)

    advice = str(caught.value).split("; ")[1].partition(", or")[0]
    subprocess.run(advice, shell=True, check=True)

    assert kept_token(path) == TOKEN


def test_a_file_that_cannot_be_read_or_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "token"):
        with pytest.raises(EngineError, match="name another file for it") as caught:
            kept_token(path)
        assert str(path) in str(caught.value)
        assert "Errno" not in str(caught.value)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    # Whoever is root may read all.
    monkeypatch.setattr(Path, "open", refuse)
    path = tmp_path / "token"
    with pytest.raises(EngineError, match=r"Permission denied.*check its permissions"):
        kept_token(path)


RUBBISH = [
    TOKEN[:-1], TOKEN + "A", "x", f"Bearer {TOKEN}", f"http://{TOKEN}@gpu:80",
    "tcp://gpu:8786", "tcp://short@gpu:8786", "\udcff\udcfe" * 22, "\x01" * 43,
    "é" * 43,
]  # fmt: skip


@pytest.mark.parametrize("value", RUBBISH)
def test_a_variable_that_holds_no_token_is_named(no_tokens, monkeypatch, value):
    monkeypatch.setattr(os, "environ", {credentials.TOKEN_VARIABLE: value})
    with pytest.raises(DeviceError) as caught:
        token_for("tcp://gpu:8786")

    line = str(caught.value)
    assert f"variable {credentials.TOKEN_VARIABLE} holds no token" in line
    assert "unset it" in line
    assert TOKEN not in line
    assert value not in line


@pytest.mark.parametrize(
    "value", [f" {TOKEN}\n", f"tcp://{TOKEN}@gpu:8786", f"tls://{TOKEN}@other:1/\n"]
)
def test_a_variable_may_hold_the_whole_line(no_tokens, monkeypatch, value):
    monkeypatch.setenv(credentials.TOKEN_VARIABLE, value)

    assert token_for("tcp://gpu:8786") == TOKEN


@pytest.mark.parametrize("value", ["", " \n\t"])
def test_an_empty_variable_is_none(no_tokens, monkeypatch, value):
    monkeypatch.setenv(credentials.TOKEN_VARIABLE, value)
    with pytest.raises(DeviceError, match=f"{credentials.TOKEN_VARIABLE} is empty"):
        token_for("tcp://gpu:8786")

    remember_token(checked_device(f"tcp://{TOKEN}@gpu:8786"))
    monkeypatch.setattr("unet_engine.devices._tokens", {})

    assert token_for("tcp://gpu:8786") == TOKEN


def test_the_token_of_the_line_goes_before_that_of_the_variable(no_tokens, monkeypatch):
    monkeypatch.setenv(credentials.TOKEN_VARIABLE, "rubbish")

    assert token_for(checked_device(f"tcp://{TOKEN}@gpu:8786")) == TOKEN


@pytest.mark.parametrize("kept", ["rubbish", 5, None, [TOKEN], {"a": 1}, TOKEN[:-1]])
def test_a_kept_token_that_was_damaged_is_named_and_replaced(no_tokens, kept):
    file = credentials._tokens_file()
    file.parent.mkdir()
    file.write_text(json.dumps({"gpu:8786": kept}))
    with pytest.raises(DeviceError, match="the whole line") as caught:
        token_for("tcp://gpu:8786")
    assert kept is None or str(file) in str(caught.value)

    remember_token(checked_device(f"tcp://{TOKEN}@gpu:8786"))

    assert json.loads(file.read_text())["gpu:8786"] == TOKEN


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_kept_tokens_that_were_opened_to_others_are_closed_again(no_tokens):
    remember_token(checked_device(f"tcp://{TOKEN}@gpu:8786"))
    file = credentials._tokens_file()
    file.chmod(0o644)

    assert remembered_devices() == ("tcp://gpu:8786",)
    assert file.stat().st_mode & 0o777 == 0o600


@given(st.text(max_size=60))
def test_any_text_is_a_device_or_refused_in_one_line(text):
    try:
        device = checked_device(text)
    except SpecError as error:
        assert len(str(error).splitlines()) <= 1 + repr(text).count("\n")
    else:
        assert device == "auto" or device.partition(":")[0] in (
            "cpu", "mps", "cuda", "local", "tcp", "tls",
        )  # fmt: skip


@pytest.mark.parametrize(
    "device",
    ["gpu", "cuda:x", "local:0", "local:", "tcp://", "tcp://gpu", "tcp://gpu:0",
     "tcp://gpu:99999", "http://gpu:80", "tcp://a b:80", "cuda:1:2", "", "CPU",
     "local:-1", "cuda:-1", "cuda:\N{FULLWIDTH DIGIT ONE}", "tcp://gpu..:80",
     f"tcp://{'a' * 64}:80", "tcp://[:::::]:80", "tcp://gpu:80/path", "gpu:8786"],
)  # fmt: skip
def test_what_is_no_device_is_refused_with_the_choices(device):
    with pytest.raises(SpecError, match="tcp://host:port"):
        checked_device(device)


@pytest.mark.parametrize(
    "device",
    [f"tcp://{TOKEN}@gpu:port", f"TCP://{TOKEN}@gpu", f"tcp:/{TOKEN}@gpu:8786",
     f"tcp://{TOKEN}:8786", f"tcp://{TOKEN}127.0.0.1:8786", f"{TOKEN}@gpu:8786",
     f"tcp://{TOKEN}@{TOKEN}@gpu:8786", f"tcp://gpu:8786?{TOKEN}"],
)  # fmt: skip
def test_a_wrong_address_does_not_repeat_the_token(device):
    with pytest.raises(SpecError) as caught:
        checked_device(device)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "pasted", ["  tcp://{}@gpu:8786\n", "TCP://{}@GPU:8786", "tcp://{}@gpu:08786/"]
)
def test_a_pasted_line_is_one_device_however_it_is_written(no_tokens, pasted):
    device = checked_device(pasted.format(TOKEN))

    assert device == "tcp://gpu:8786"
    assert given_token(device) == TOKEN


def test_ipv6_and_names_are_addresses(no_tokens):
    for address in ("[::1]", "gpu-server.example.org", "10.0.0.7"):
        device = checked_device(f"tcp://{TOKEN}@{address}:8786")
        assert is_remote(device)
        assert given_token(device) == TOKEN


def _serve(context):
    """Answer one handshake at a free port, and return the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        line, _ = listener.accept()
        with line:
            try:
                if context is None:
                    line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                else:
                    context.wrap_socket(line, server_side=True).close()
            except OSError:
                pass
        listener.close()

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


def _server_context(token):
    return security_of(token).get_listen_args("scheduler")["ssl_context"]


def test_the_same_token_is_let_in():
    port = _serve(_server_context(TOKEN))

    check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))


def test_another_token_is_named():
    port = _serve(_server_context(new_token()))

    with pytest.raises(EngineError, match="has another token"):
        check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))


def test_what_does_not_encrypt_is_named():
    port = _serve(None)

    with pytest.raises(EngineError, match="does not encrypt"):
        check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))


def test_a_port_where_nothing_listens_is_named():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(EngineError, match="nothing listens"):
        check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))


def test_a_client_without_the_token_gets_nothing_from_the_server():
    listener = socket.create_server(("127.0.0.1", 0))
    refused = []

    def answer():
        line, _ = listener.accept()
        try:
            _server_context(TOKEN).wrap_socket(line, server_side=True)
        except ssl.SSLError as error:
            refused.append(error)
        line.close()

    thread = threading.Thread(target=answer)
    thread.start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(listener.getsockname()) as line:
        try:
            with context.wrap_socket(line) as tunnel:
                received = tunnel.recv(1)
        except OSError:
            received = b""
    thread.join()
    listener.close()

    assert received == b""
    assert refused


def test_devices_are_remembered_the_last_one_first(no_tokens):
    for host in ("first", "[::1]", "second", "first"):
        remember_token(checked_device(f"tcp://{TOKEN}@{host}:8786"))

    first, second, third = remembered_devices()
    assert (first, second, third) == (
        "tcp://first:8786",
        "tcp://second:8786",
        "tcp://[::1]:8786",
    )


def test_a_list_of_devices_that_was_damaged_offers_what_is_one(no_tokens):
    file = credentials._tokens_file()
    file.parent.mkdir()
    file.write_text(json.dumps({"gpu:8786": TOKEN, "nonsense": "x", ":": "y"}))

    assert remembered_devices() == ("tcp://gpu:8786",)


@pytest.mark.parametrize("text", [f"tcp:/{TOKEN}@gpu:1", f"{TOKEN}@gpu", TOKEN])
def test_what_is_no_address_does_not_repeat_the_token_either(text):
    with pytest.raises(SpecError) as caught:
        checked_device(text)

    assert TOKEN not in str(caught.value)


def test_a_connection_takes_the_line_as_it_was_printed_and_does_not_repeat_it():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(EngineError, match="nothing listens") as caught:
        connect(f"tcp://{TOKEN}@127.0.0.1:{port}", never)
    assert TOKEN not in str(caught.value)


def test_a_worker_that_is_suspended_is_told_from_a_host_that_is_not_there(
    no_tokens, monkeypatch
):
    monkeypatch.setattr(handshake, "PATIENCE_S", 0.2)
    # The system makes the connection, and nobody reads what comes.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(EngineError, match=r"does not answer.* start it again"):
            check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))


def test_a_tunnel_to_nothing_is_named(no_tokens, monkeypatch):
    def reset(*_):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(handshake, "_shake_hands", reset)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=r"closed the line.* tunnel to none"):
            check_reachable(checked_device(f"tcp://{TOKEN}@127.0.0.1:{port}"))
