"""``napari-unet worker``: compute for other machines, or for this one."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.parameters import (
    DebugOption,
    UserPath,
)
from unet_engine.devices import (
    Device,
    checked_device,
    device_of_this_machine,
    is_remote,
    written_place,
)
from unet_engine.errors import SpecError

if TYPE_CHECKING:
    from unet_engine.stopping import Stop

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLL_S = 0.2
"""Seconds between two looks at whether to end."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WorkerOptions(DebugOption):
    """Where it listens, and what computes.

    Parameters
    ----------
    host
        Address of this machine at which it listens. 127.0.0.1 is reached from this
        machine, and through an ssh tunnel; 0.0.0.0 from all of its networks.
    port
        At which it listens; 0 for any that is free.
    device
        Where it computes: auto takes every GPU, or the CPU where there is none.
    processes
        That compute side by side. 0: one for each GPU, or one with all processors.
    token_file
        File with the token, made where there is none: the same line then holds after
        it is started again. Without it the token is new each time.
    join
        Line of another napari-unet worker that these processes compute for as well; no
        port is opened for clients then.
    """

    host: str = "127.0.0.1"
    port: int = 8786
    device: Device = "auto"
    processes: int = 0
    token_file: Annotated[UserPath | None, Parameter(name="--token-file")] = None
    join: Device = ""


def run(*, options: WorkerOptions = WorkerOptions()) -> int:
    """Predict and train for other machines until it is interrupted.

    It prints a line that is pasted there as the device: in the dock, after --device,
    or in Python. The line is encrypted, and the token in it is needed to get any
    answer; who has it can run programs here under your name, so it is a secret as a
    password is. By default it is reached from this machine alone: through an ssh tunnel
    a port of the laptop leads here, and nothing has to be opened in a firewall.

    Parameters
    ----------
    options
        Where it listens, and what computes.

    Raises
    ------
    EngineError
        When it cannot listen there, or the device is absent.

    Examples
    --------
    napari-unet worker
    napari-unet worker --host 0.0.0.0 --token-file ~/unet-token
    napari-unet worker --join tcp://TOKEN@gpu-server:8786
    """
    from unet_engine.remote.credentials import kept_token, new_token
    from unet_engine.remote.handshake import check_reachable
    from unet_engine.worker.serving import joining, serving

    _check(options)
    with stop_on_interrupt("ending; once more ends at once") as stop:
        if options.join:
            check_reachable(checked_device(options.join))
            print("computing; interrupt to end", flush=True)
            joining(options.join, options.processes, options.device, stop)
            return 0
        token = kept_token(options.token_file) if options.token_file else new_token()
        with serving(
            token,
            host=options.host.strip("[]"),
            port=options.port,
            processes=options.processes,
            device=options.device,
        ) as (port, count):
            print(_invitation(options.host.strip("[]"), port, token, count), flush=True)
            _wait(stop)
    return 0


def _check(options: WorkerOptions) -> None:
    if is_remote(options.device.lower()):
        # Not repeated: a token may be in it.
        raise SpecError(
            "a worker computes on this machine, not on workers; use auto, cpu or cuda, "
            "or --join to compute for another machine"
        )
    if options.join and "://" not in options.join:
        raise SpecError(
            "join takes the line that another napari-unet worker printed, "
            "tcp://TOKEN@host:port"
        )
    if not options.host or not re.fullmatch(r"[\w.:%-]+|\[.*\]", options.host):
        # Without an address all networks would reach it.
        raise SpecError(
            f"host is {options.host!r}; use an address of this machine without its "
            "port: 127.0.0.1 for it alone, 0.0.0.0 for all of its networks"
        )
    device_of_this_machine(options.device)
    if not 0 <= options.port < 2**16:
        raise SpecError(f"port is {options.port}; use 1024 to 65535, or 0 for any")
    if not 0 <= options.processes <= 4 * (os.cpu_count() or 1):
        raise SpecError(
            f"processes is {options.processes}; use at most the {os.cpu_count()} "
            "processors of this machine, or 0"
        )


def _invitation(host: str, port: int, token: str, count: int) -> str:
    name = socket.gethostname()
    processes = "1 process computes" if count == 1 else f"{count} processes compute"
    if host in _LOOPBACK:
        place = written_place("127.0.0.1" if host == "localhost" else host, port)
        return (
            f"{processes}. Choose this device on this machine:\n"
            f"  tcp://{token}@{place}\n"
            "and on another one, after opening a tunnel there that stays open:\n"
            f"  ssh -N -L {port}:{place} {name}\n"
            "Who has this line can run programs here; interrupt to end"
        )
    shown = name if host in ("0.0.0.0", "::") else host
    return (
        f"{processes}. Choose this device on another machine:\n"
        f"  tcp://{token}@{written_place(shown, port)}\n"
        "Who has this line can run programs here; interrupt to end"
    )


def _wait(stop: Stop) -> None:
    while not stop():
        time.sleep(_POLL_S)
