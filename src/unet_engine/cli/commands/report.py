"""``napari-unet report``: a project on one page, with a methods paragraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.parameters import Flag, QuietOption, UserPath
from unet_engine.cli.progress import bar, report
from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable
from unet_engine.generators import drain
from unet_engine.image_list.image_list import ImageList
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.project_report.contents import ReportDone

SUFFIXES = (".html", ".htm")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportOptions(QuietOption):
    """What stands in the report, and where it goes.

    Parameters
    ----------
    output
        HTML file of the report; by default NAME-report.html beside the list.
    model
        Name of the model, or path of its file, where it is another one than the list
        remembers.
    pictures
        Images that are shown with the mask of the model; 0: none.
    overwrite
        Replace a file that is there.
    """

    output: Annotated[
        UserPath | None, Parameter(name=("--out", "-o"), metavar="FILE.html")
    ] = None
    model: Annotated[str, Parameter(show_default=False)] = ""
    pictures: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=100))] = 6
    overwrite: Flag = False


def run(
    list_file: Annotated[UserPath, Parameter(metavar="LIST.unet")],
    /,
    *,
    options: ReportOptions = ReportOptions(),
) -> int:
    """Write a report of a project: one HTML file, with a methods paragraph.

    It has the images of a list and how far they are, classes and strokes, the model
    with the rounds of training that led to it, scores, settings, versions, and parts of
    images with the mask. The file holds its pictures; any browser shows it, and prints
    it to a PDF. The images and the list are not changed.

    Parameters
    ----------
    list_file
        The list of images of the project.
    options
        What is written.

    Examples
    --------
    napari-unet report plate.unet
    napari-unet report plate.unet --out report.html --pictures 12
    """
    from unet_engine.project_report.page import write_report
    from unet_engine.project_report.project import iter_report

    images = ImageList.open(list_file, write=False)
    path = options.output or images.path.with_name(f"{images.name}-report.html")
    _check_path(path, images, overwrite=options.overwrite)
    with stop_on_interrupt("stopping") as stop:
        run = iter_report(
            images,
            ModelStore(),
            model=options.model,
            pictures=options.pictures,
            stop=stop,
        )
        with bar(1, images.path.name, quiet=options.quiet) as progress:

            def show(event: ReportDone) -> None:
                progress.total = event.total
                progress.update(event.done - progress.n)

            found = drain(run, show)
    write_report(path, found)
    problems = [one for one in (found.model_problem,) if one]
    report([*problems, f"report of {images.path.name}: {path}"], quiet=options.quiet)
    return 0


def _check_path(path: Path, images: ImageList, *, overwrite: bool) -> None:
    """Make sure that a report can be written before there is work to lose.

    Raises
    ------
    DataError
        When it cannot.
    """
    if path.suffix.lower() == ".pdf":
        raise DataError(
            f"{path} cannot be written by a command; give a .html file and print it to "
            "a PDF in a browser, or use Report… under Images in napari"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path} is no HTML file; give a name that ends in .html")
    if path.exists() and not overwrite:
        raise DataError(
            f"{path} exists already; give another name, or --overwrite to replace it"
        )
    check_writable(path)
