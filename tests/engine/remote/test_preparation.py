"""Connecting and sending: shown while it lasts, ended at once, done once."""

import socket
import threading

import pytest

from unet_engine.devices import checked_device
from unet_engine.errors import Cancelled, EngineError
from unet_engine.remote import blobs
from unet_engine.remote.connection import LineLostError, connect, is_connected
from unet_engine.remote.credentials import new_token
from unet_engine.remote.preparation import (
    Connecting,
    Sending,
    iter_prepare,
    warm_up,
)
from unet_engine.stopping import never

DEVICE = "local:1"


@pytest.fixture
def silent():
    """A device that takes a line and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield checked_device(f"tcp://{new_token()}@127.0.0.1:{server.getsockname()[1]}")


def test_a_model_is_sent_once_in_parts_that_are_shown(monkeypatch):
    monkeypatch.setattr(blobs, "PART", 400_000)
    connect(DEVICE, never)
    content = b"model" * 200_000
    events = list(iter_prepare(DEVICE, lambda: content, stop=never))

    assert events == [Sending(n * 400_000, 1_000_000) for n in range(3)]
    assert events[1].describe() == "Sending the model: 0.4 of 1.0 MB"
    assert list(iter_prepare(DEVICE, lambda: content, stop=never)) == []


def test_what_workers_keep_is_not_asked_again(monkeypatch):
    connection = connect(DEVICE, never)
    list(iter_prepare(DEVICE, lambda: b"kept", stop=never))
    asked = []
    monkeypatch.setattr(
        type(connection), "ask", lambda self, name, *rest, **how: asked.append(name)
    )
    list(iter_prepare(DEVICE, lambda: b"kept", stop=never))

    assert not asked


def test_what_other_workers_kept_is_asked_again():
    connection = connect(DEVICE, never)
    connection.prepared.add("0" * 64)
    connection.refresh(never)
    assert connection.prepared

    # As when the worker was started anew, under another address.
    connection._known.clear()
    connection.refresh(never)
    assert not connection.prepared


def test_workers_compute_with_a_model_before_it_is_used(make_checkpoint, monkeypatch):
    checkpoint = make_checkpoint()
    connection = connect(DEVICE, never)
    submit, submitted = type(connection).submit, []

    def recording(self, name, *arguments, **how):
        future = submit(self, name, *arguments, **how)
        submitted.append((name, arguments, how["worker"], future))
        return future

    monkeypatch.setattr(type(connection), "submit", recording)
    warm_up(DEVICE, checkpoint.to_bytes, object_maps=False, stop=never)
    digest = blobs.digest_of(checkpoint.to_bytes())

    assert digest in connection.prepared
    ((name, arguments, worker, future),) = submitted
    assert (name, arguments) == ("models.compute_once", (digest, False, "full"))
    assert worker == connection.addresses[0]
    assert future.status == "finished"


def test_a_model_that_no_worker_can_compute_with_is_left_to_the_run():
    connect(DEVICE, never)

    warm_up(DEVICE, lambda: b"no model", object_maps=False, stop=never)


def test_for_this_machine_nothing_is_warmed_up():
    warm_up("cpu", None, object_maps=False, stop=never)


def test_a_transfer_that_was_stopped_goes_on_where_it_ended(monkeypatch):
    monkeypatch.setattr(blobs, "PART", 400_000)
    content = b"other" * 200_000
    run = iter_prepare(DEVICE, lambda: content, stop=never)
    while next(run) != Sending(400_000, 1_000_000):
        pass
    run.close()

    assert Sending(400_000, 1_000_000) == next(
        iter_prepare(DEVICE, lambda: content, stop=never)
    )


def test_for_this_machine_nothing_is_done():
    assert list(iter_prepare("cpu", None, stop=never)) == []


def test_connecting_is_shown_and_can_be_stopped(silent):
    stopped = threading.Event()
    run = iter_prepare(silent, bytes, stop=stopped.is_set)
    event = next(run)
    stopped.set()

    assert event == Connecting(silent)
    assert event.describe() == f"Connecting to {silent}…"
    with pytest.raises(Cancelled):
        next(run)
    # The handshake is still awaited, by a thread that nobody waits for.
    assert "unet-connect" in [thread.name for thread in threading.enumerate()]
    assert not is_connected(silent)


def test_a_host_that_does_not_answer_holds_up_no_other(silent):
    with pytest.raises(Cancelled):
        connect(silent, lambda: True)

    assert connect(DEVICE, never).describe() == "1 worker on the CPU"


def test_a_line_that_breaks_is_left_to_the_run(monkeypatch):
    def lost(*arguments, **settings):
        raise LineLostError("lost")
        yield

    connect(DEVICE, never)
    monkeypatch.setattr("unet_engine.remote.preparation.iter_send_blob", lost)

    assert list(iter_prepare(DEVICE, bytes, stop=never)) == []


def test_what_is_wrong_is_said(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    device = checked_device(f"tcp://{new_token()}@127.0.0.1:{port}")

    with pytest.raises(EngineError, match="nothing listens"):
        list(iter_prepare(device, bytes, stop=never))
