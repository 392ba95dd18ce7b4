"""What is sent to the port of a worker, without the token and with it.

Without the token nothing may be answered but a refusal of TLS. Who has the token may
run programs there, so rubbish of his is tried for what it does to others alone: the
worker goes on and still lets them in.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuzzing.trial import Outcome
from unet_engine.devices import Device, given_token, host_and_port
from unet_engine.errors import EngineError
from unet_engine.remote.credentials import new_token, security_of
from unet_engine.remote.handshake import check_reachable

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

ANSWER_S = 3.0
"""Seconds that an answer is awaited: most ports close the line at once."""

ALERT = 21
"""First byte of a refusal in TLS (RFC 8446, 5.1)."""

_HELLO = b"\x16\x03\x01\x01\x2c\x01"
"""What the beginning of TLS looks like: a handshake of 300 bytes."""

_OTHERS = (
    b"GET /status HTTP/1.0\r\n\r\n",
    b"GET /info/main/workers.html HTTP/1.0\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"\x80\x04\x95" + bytes(range(256)),
)
"""What scans of ports and a peer with pickles send."""

_IDLE = 40
"""Lines that are open at once and silent."""


@dataclass(frozen=True, slots=True)
class PortTrials:
    """A worker whose port is tried.

    Attributes
    ----------
    device
        Its address, whose token this process was given.
    """

    device: Device

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return host_and_port(self.device)

    def context(self, token: str = "") -> ssl.SSLContext:
        """Return what a client encrypts with, which lets any server in."""
        token = token or given_token(self.device)
        arguments = security_of(token).get_connection_args("client")
        made: ssl.SSLContext = arguments["ssl_context"]
        return made

    def judged(self, answer: bytes) -> Outcome:
        """Return whether somebody without the token got more than a refusal."""
        if answer and answer[0] != ALERT:
            return Outcome(fault=f"an answer without the token: {answer!r:.100}")
        return self.lets_in(refused="closed")

    def lets_in(self, *, refused: str = "") -> Outcome:
        """Return whether who has the token is let in."""
        try:
            check_reachable(self.device)
        except EngineError as error:
            return Outcome(fault=f"the token does not let in any more: {error}")
        return Outcome(refused=refused)


def answer_to(place: tuple[str, int], content: bytes) -> bytes:
    """Send something to a port, and return what it answers."""
    with socket.create_connection(place, timeout=ANSWER_S) as line:
        try:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            return line.recv(4096)
        except OSError:
            return b""


def answer_in_tls(
    place: tuple[str, int], context: ssl.SSLContext, content: bytes
) -> bytes:
    """Send something in TLS, and return what is answered inside of it."""
    with socket.create_connection(place, timeout=ANSWER_S) as line:
        try:
            with context.wrap_socket(line) as tunnel:
                tunnel.sendall(content)
                return tunnel.recv(4096)
        except OSError:
            return b""


def without_certificate() -> ssl.SSLContext:
    """Return what a client without any token encrypts with."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client_hello(context: ssl.SSLContext) -> bytes:
    """Return the first message of a handshake."""
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(arriving, leaving).do_handshake()
    return leaving.read()


def random_bytes(trials: PortTrials, chance: random.Random) -> Outcome:
    """Send what is nothing, or looks like TLS, HTTP, SSH or a pickle."""
    content = chance.randbytes(chance.randrange(4096))
    content = chance.choice((content, _HELLO + content, *_OTHERS))
    return trials.judged(answer_to(trials.place, content))


def cut_handshake(trials: PortTrials, chance: random.Random) -> Outcome:
    """Begin TLS as with the token, and end or damage the first message."""
    content = bytearray(client_hello(trials.context()))
    if chance.random() < 0.5:
        del content[chance.randrange(len(content)) :]
    else:
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    answer = answer_to(trials.place, bytes(content))
    # One that is damaged where it does not matter is answered by a server that waits
    # for the proof of the token then.
    return trials.judged(b"" if answer[:1] == b"\x16" else answer)


def other_token(trials: PortTrials, chance: random.Random) -> Outcome:
    """Speak TLS without the token: with another one, or none."""
    context = without_certificate()
    if chance.random() < 0.5:
        context = trials.context(new_token())
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answer = answer_in_tls(trials.place, context, chance.randbytes(64))
    if answer:
        return Outcome(fault=f"an answer inside of TLS, without the token: {answer!r}")
    return trials.judged(b"")


def silent_lines(trials: PortTrials, chance: random.Random) -> Outcome:
    """Open many lines that send nothing, or half of a handshake, and keep them."""
    hello = client_hello(trials.context())
    with ExitStack() as stack:
        for _ in range(_IDLE):
            line = socket.create_connection(trials.place, timeout=ANSWER_S)
            stack.enter_context(line)
            with suppress(OSError):
                line.sendall(hello[: chance.choice((0, 1, 5, len(hello) // 2))])
        return trials.lets_in(refused="kept waiting")


def rubbish_with_token(trials: PortTrials, chance: random.Random) -> Outcome:
    """Send what is no message of dask.distributed, with the token."""
    frames = chance.choice((0, 1, 2, 2**16, 2**40, 2**63))
    lengths = [chance.choice((0, 1, 100, 2**31, 2**62)) for _ in range(3)]
    content = chance.choice(
        (
            chance.randbytes(chance.randrange(4096)),
            # Frames: how many bytes, how many of them, how long each is, the bytes.
            struct.pack("<Q", chance.choice((8, 100, 2**31, 2**50)))
            + struct.pack("<Q", frames)
            + struct.pack("<3Q", *lengths)
            + chance.randbytes(200),
        )
    )
    answer_in_tls(trials.place, trials.context(), content)
    return trials.lets_in(refused="closed")


KINDS: dict[str, Callable[[PortTrials, random.Random], Outcome]] = {
    trial.__name__: trial
    for trial in (
        random_bytes,
        cut_handshake,
        other_token,
        silent_lines,
        rubbish_with_token,
    )
}
"""The kinds of trials, by their names."""

KNOWS_TOKEN = ("rubbish_with_token",)
"""Those who may run programs there anyway: a traceback on that side is no fault."""
