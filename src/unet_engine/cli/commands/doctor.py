"""``napari-unet doctor``: what works here, what does not, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cyclopts import Parameter

from unet_engine.cli.options.parameters import DebugOption, Flag
from unet_engine.devices import Device, checked_device
from unet_engine.doctor.report import (
    all_well,
    iter_findings,
    lines_of,
    summary,
    title,
    to_dict,
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DoctorOptions(DebugOption):
    """How the findings are printed.

    Parameters
    ----------
    device
        Where work is tested: a GPU, such as cuda:1, processes of this machine,
        local:2, or the line that napari-unet worker printed.
    json
        Print one JSON object on stdout.
    """

    device: Device = "auto"
    json: Flag = False


def run(*, options: DoctorOptions = DoctorOptions()) -> int:
    """Look at this installation and test it, and print what to do about each fault.

    Versions of libraries and pairs of them that do not go together, folders and their
    free space, the model files, what a window needs, the devices; then a prediction,
    learning from strokes and a training on a generated image, some ten seconds. With
    --device they are done there, and the versions of both sides are listed. The exit
    code is 0 when all is well and 1 when something is broken.

    Parameters
    ----------
    options
        How the findings are printed.

    Examples
    --------
    napari-unet doctor
    napari-unet doctor --device cuda:0
    napari-unet doctor --device tcp://TOKEN@127.0.0.1:8786
    napari-unet doctor --json > report.json
    """
    device = checked_device(options.device)
    findings, area = [], ""
    if not options.json:
        print(title())
    for finding in iter_findings(device=device):
        findings.append(finding)
        if options.json:
            continue
        if finding.area != area:
            area = finding.area
            print(area)
        print("\n".join(lines_of(finding)), flush=True)
    if options.json:
        print(json.dumps(to_dict(findings), indent=2))
    else:
        print(summary(findings))
    return 0 if all_well(findings) else 1
