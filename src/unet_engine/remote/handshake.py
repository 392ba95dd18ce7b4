"""The first words with what listens at an address: TLS alone, then dask.distributed."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import TYPE_CHECKING

from unet_engine.devices import host_and_port, written_place
from unet_engine.errors import DeviceError
from unet_engine.remote.credentials import security_of, token_for

if TYPE_CHECKING:
    from distributed import Client

    from unet_engine.devices import Device

PATIENCE_S = 10.0
"""Seconds in which the other end answers, or the line is taken for lost."""


def check_reachable(device: Device) -> None:
    """Make the handshake of TLS alone, which shows what is wrong if anything is.

    Raises
    ------
    DeviceError
        In one line, with what to do.
    """
    place = host_and_port(device)
    context = security_of(token_for(device)).get_connection_args("client")[
        "ssl_context"
    ]
    where = written_place(*place)
    try:
        with socket.create_connection(place, timeout=PATIENCE_S) as line:
            _shake_hands(context, line, where)
    except ssl.SSLCertVerificationError as error:
        raise DeviceError(
            f"what listens at {where} has another token; use the whole line that "
            "napari-unet worker printed there when it was last started"
        ) from error
    except ssl.SSLError as error:
        raise DeviceError(
            f"what listens at {where} is no napari-unet worker, or does not encrypt "
            f"({error.reason or error}); start napari-unet worker there"
        ) from error
    except ConnectionResetError as error:
        raise DeviceError(
            f"what listens at {where} closed the line, so it is no napari-unet worker, "
            "or a tunnel to none; start napari-unet worker there"
        ) from error
    except ConnectionRefusedError as error:
        raise DeviceError(
            f"nothing listens at {where}; start napari-unet worker there, or, over an "
            "ssh tunnel, start the tunnel"
        ) from error
    except OSError as error:
        raise DeviceError(
            f"{where} cannot be reached ({error.strerror or error}); check the name, "
            "the network and the firewall, or go through an ssh tunnel"
        ) from error


def _shake_hands(context: ssl.SSLContext, line: socket.socket, where: str) -> None:
    try:
        context.wrap_socket(line).close()
    except TimeoutError as error:
        raise DeviceError(
            f"what listens at {where} does not answer within {PATIENCE_S:.0f} seconds; "
            "see whether napari-unet worker still runs there, and start it again"
        ) from error


def client_of(device: Device) -> Client:
    """Connect to the scheduler of a device.

    Raises
    ------
    DeviceError
        When it does not answer as one.
    """
    from distributed import Client

    # Its traceback of a line that is lost adds nothing to the message about it.
    for name in ("distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return Client(
            f"tls://{written_place(*host_and_port(device))}",
            security=security_of(token_for(device)),
            timeout=PATIENCE_S,
            set_as_default=False,
            name="napari-unet",
        )
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{device} does not answer as a scheduler of dask.distributed ({error}); "
            "start napari-unet worker there"
        ) from error
