"""All findings, as a text and as JSON."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine import __version__
from unet_engine.devices import Device, checked_device
from unet_engine.doctor.display import display_findings
from unet_engine.doctor.finding import Finding, one_line
from unet_engine.doctor.folders import folder_findings
from unet_engine.doctor.libraries import library_findings
from unet_engine.doctor.models import model_findings
from unet_engine.doctor.separate import separate_findings
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from unet_engine.doctor.finding import Area
    from unet_engine.stopping import Stop

_SIGNS = {"ok": "ok", "note": "note", "broken": "BROKEN"}


def iter_findings(
    stop: Stop = never, *, device: Device = "auto"
) -> Generator[Finding, None, tuple[Finding, ...]]:
    """Look at libraries, folders, models, display and devices, and test the work.

    It takes some ten seconds, nearly all of them for the self-test, which is last.

    Parameters
    ----------
    stop
        Polled between two findings.
    device
        Where work is tested, such as workers elsewhere; no token of it is in what is
        found.

    Yields
    ------
    Finding
        As soon as it is known.

    Raises
    ------
    SpecError
        When there is no such device.

    Returns
    -------
    tuple
        All that were yielded.
    """
    device = checked_device(device)
    parts: tuple[tuple[Area, Callable[[], Iterable[Finding]]], ...] = (
        ("libraries", library_findings),
        ("folders", folder_findings),
        ("models", model_findings),
        ("display", display_findings),
        ("self-test", lambda: separate_findings(stop, device=device)),
    )
    found: list[Finding] = []
    for area, look in parts:
        for finding in _guarded(area, look):
            found.append(finding)
            yield finding
            if stop():
                return tuple(found)
    return tuple(found)


def _guarded(area: Area, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Go on with the rest when looking itself fails: that is a finding, too."""
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001  # whatever it is becomes a finding
        yield Finding(
            area=area,
            state="broken",
            text=f"this could not be looked at: {one_line(error)}",
            advice="report this as a bug with the whole report",
        )


def all_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(finding.state != "broken" for finding in findings)


def title() -> str:
    """Return what is looked at, in one line."""
    return f"napari-unet-finetune {__version__} on {platform.platform()}"


def lines_of(finding: Finding) -> list[str]:
    """Return a finding as lines of a text: what it is and, if any, what to do."""
    lines = [f"  {_SIGNS[finding.state]:<7} {without_home(finding.text)}"]
    if finding.advice:
        lines.append(f"          -> {without_home(finding.advice)}")
    return lines


def text_of(findings: Sequence[Finding]) -> str:
    """Return a report, grouped by what was looked at, as it stands in a bug report."""
    lines, area = [title()], ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            lines.append(area)
        lines += lines_of(finding)
    return "\n".join([*lines, summary(findings)])


def summary(findings: Iterable[Finding]) -> str:
    """Return the last line of a report."""
    broken = sum(finding.state == "broken" for finding in findings)
    if not broken:
        return "All is well."
    return "1 thing is broken." if broken == 1 else f"{broken} things are broken."


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return a report as JSON types."""
    return {
        "title": title(),
        "well": all_well(findings),
        "findings": [
            {name: without_home(value) for name, value in finding.to_dict().items()}
            for finding in findings
        ],
    }


def without_home(text: str) -> str:
    """Return a text with ``~`` for the user's folder: reports are read by strangers."""
    try:
        home = str(Path.home())
    except RuntimeError:
        return text
    # In a container the home may be the root of all.
    return text.replace(home, "~") if len(home) > 1 else text
