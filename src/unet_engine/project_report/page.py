"""A report as one HTML file: all text escaped, pictures inside, nothing that runs."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from unet_engine.files.atomic import whole_file
from unet_engine.project_report.curve_drawing import draw_curve

if TYPE_CHECKING:
    import os

    from jinja2 import Template

    from unet_engine.project_report.contents import ProjectReport

_MOST_IMAGES = 40
"""Rows of images on the page; of more the number is stated: it is to be one page."""


def report_page(report: ProjectReport) -> str:
    """Return a report as HTML that loads nothing from elsewhere.

    Parameters
    ----------
    report
        What stands in it.
    """
    curve = draw_curve(report.rounds)
    encoded = base64.b64encode(curve.encode()).decode() if curve else ""
    return _template().render(
        report=report,
        images=report.images[:_MOST_IMAGES],
        more_images=max(0, len(report.images) - _MOST_IMAGES),
        curve=f"data:image/svg+xml;base64,{encoded}" if encoded else "",
    )


def write_report(path: str | os.PathLike[str], report: ProjectReport) -> None:
    """Write a report as an HTML file, whole or not at all.

    Raises
    ------
    DataError
        When it cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(report_page(report), encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("unet_engine.project_report", "."),
        # Names of files, classes and models come from anywhere.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
