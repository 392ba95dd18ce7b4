"""Bytes that workers keep by their hash, so that a model is sent once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.generators import discard, drain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop

PART = 2**19
"""Bytes that are sent at once: a fifth of a second of a line of 20 Mbit/s, after which
a stop is noticed."""


def digest_of(content: bytes) -> str:
    """Return the name of bytes, the SHA-256 of them."""
    return hashlib.sha256(content).hexdigest()


def send_blob(
    connection: Connection,
    content: bytes,
    *,
    stop: Stop,
    workers: list[str] | None = None,
    on_progress: Callable[[tuple[int, int]], object] = discard,
) -> str:
    """Have all workers keep some bytes; nothing is sent to those that do.

    A transfer that was interrupted goes on where it ended.

    Parameters
    ----------
    connection
        The line.
    content
        The bytes.
    stop
        Polled after each part.
    workers
        Their addresses; all of the connection without.
    on_progress
        Called with what ``iter_send_blob`` yields.

    Returns
    -------
    str
        The digest by which workers find them.

    Raises
    ------
    LineLostError
        When the line breaks.
    Cancelled
        When ``stop`` returned True.
    """
    run = iter_send_blob(connection, content, stop=stop, workers=workers)
    return drain(run, on_progress)


def iter_send_blob(
    connection: Connection,
    content: bytes,
    *,
    stop: Stop,
    workers: list[str] | None = None,
) -> Generator[tuple[int, int], None, str]:
    """Send bytes as ``send_blob`` does.

    Yields
    ------
    tuple
        Bytes that are there, and all of them; nothing when they are.
    """
    digest = digest_of(content)
    there = connection.ask(
        "blobs.size", digest, len(content), workers=workers or (), stop=stop
    )
    lacking = {address: size for address, size in there.items() if size < len(content)}
    while lacking:
        at = min(lacking.values())
        yield at, len(content)
        receivers = [address for address, size in lacking.items() if size == at]
        sizes = connection.ask(
            "blobs.append",
            digest,
            at,
            content[at : at + PART],
            len(content),
            workers=receivers,
            stop=stop,
        )
        # One that ended lacks nothing.
        others = {a: size for a, size in lacking.items() if a not in receivers}
        lacking = {
            address: size
            for address, size in (others | sizes).items()
            if size < len(content)
        }
    return digest


def send_blobs(
    connection: Connection, contents: Mapping[str, bytes], worker: str, *, stop: Stop
) -> None:
    """Have a worker keep many blobs; nothing is sent of those that it has.

    Parameters
    ----------
    connection
        The line.
    contents
        Bytes by their digests.
    worker
        Its address.
    stop
        Polled after each part.

    Raises
    ------
    LineLostError
        When the line breaks.
    Cancelled
        When ``stop`` returned True.
    """
    sizes = {digest: len(content) for digest, content in contents.items()}
    there = connection.ask("blobs.lacking", sizes, workers=[worker], stop=stop)
    for digest in there.get(worker, sizes):
        send_blob(connection, contents[digest], workers=[worker], stop=stop)


def fetch_blob(
    connection: Connection, digest: str, worker: str, *, stop: Stop
) -> bytes:
    """Return the bytes of a digest that a worker keeps.

    Raises
    ------
    DataError
        When they are not there.
    LineLostError
        When the line breaks.
    Cancelled
        When ``stop`` returned True.
    """
    parts: list[bytes] = []
    total, at = 1, 0
    while at < total:
        answer = connection.ask(
            "blobs.read", digest, at, PART, workers=[worker], stop=stop
        )
        part, total = answer[worker]
        parts.append(part)
        at += len(part)
    content = b"".join(parts)
    if digest_of(content) != digest:
        raise DataError("what arrived is not what was sent; run the same again")
    return content
