"""Devices and the self-test in a process of their own.

What is broken there, such as a pair of libraries that do not go together, may end the
process or never come back; napari and the report must not go with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from threading import Event, Timer
from typing import TYPE_CHECKING, Any

from unet_engine.devices import Device, given_token, is_remote
from unet_engine.doctor.finding import Finding
from unet_engine.remote.credentials import TOKEN_VARIABLE
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.stopping import Stop

_SECONDS = 120.0
"""After which the process counts as hung; it takes about ten on two processors."""

_SECONDS_ELSEWHERE = 240.0
"""The same where workers are started, or may be at work for others."""

_COMMAND = (sys.executable, "-m", "unet_engine.doctor.computing")

_ADVICE = (
    "install torch and torchvision anew in a fresh environment; if that does not help, "
    "report this as a bug with the whole report"
)

_ADVICE_ELSEWHERE = (
    "see whether napari-unet worker still runs there and computes nothing else, and "
    "test again; if that does not help, report this as a bug with the whole report"
)


def separate_findings(
    stop: Stop = never,
    *,
    device: Device = "auto",
    command: Sequence[str] = _COMMAND,
    seconds: float = 0.0,
) -> Iterator[Finding]:
    """Yield what a process of its own finds of devices and of the self-test.

    Parameters
    ----------
    stop
        Polled between two findings.
    device
        Where work is tested.
    command
        Prints a finding per line, as JSON, for the device that follows it.
    seconds
        After which the process is ended; 0: what suits the device.
    """
    remote = is_remote(device)
    advice = _ADVICE_ELSEWHERE if remote else _ADVICE
    seconds = seconds or (_SECONDS_ELSEWHERE if remote else _SECONDS)
    broken = partial(_broken, advice=advice)
    try:
        process = _start([*command, device], _environment(device))
    except OSError as error:
        yield broken(f"no process can be started: {error.strerror or error}")
        return
    late = Event()
    timer = Timer(seconds, _end, (process, late))
    timer.start()
    last = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                yield Finding.from_dict(json.loads(line))
            except ValueError:
                # Libraries write what they like, an error its traceback.
                last = line.strip() or last
            if stop():
                return
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.communicate()
    if late.is_set():
        yield broken(f"it did not end within {seconds:.0f} seconds")
    elif code:
        yield broken(f"it {_describe_end(code)}{f': {last[:300]}' if last else ''}")


def _end(process: subprocess.Popen[str], late: Event) -> None:
    late.set()
    process.kill()


def _environment(device: Device) -> dict[str, str]:
    """Return the variables of the process, in which all see no token but its own."""
    known = "://" in device and given_token(device)
    return {**os.environ, TOKEN_VARIABLE: known} if known else dict(os.environ)


def _start(
    command: Sequence[str], environment: dict[str, str]
) -> subprocess.Popen[str]:
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        # No window of a console beside napari's.
        options["creationflags"] = subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def _broken(text: str, advice: str) -> Finding:
    return Finding(
        area="self-test",
        state="broken",
        text=f"the process of the self-test: {text}",
        advice=advice,
    )


def _describe_end(code: int) -> str:
    if code < 0:
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"
    return f"ended with {code}"
