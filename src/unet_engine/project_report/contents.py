"""What stands in a report, before it is a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unet_engine.image_list.entry import State
    from unet_engine.models.collection.learning_curve import RoundRow
    from unet_engine.project_report.methods import Methods
    from unet_engine.project_report.pictures import ReportPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDone:
    """A part of a report is done.

    Attributes
    ----------
    what
        In a few words.
    done, total
        Parts of it.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """An image that was worked on.

    Attributes
    ----------
    path
        As in the list.
    state, classes, model
        As of an ``Entry``.
    strokes
        How many there are on it.
    problem
        What is wrong with it or its strokes; empty for nothing.
    """

    path: str
    state: State
    classes: tuple[str, ...]
    model: str
    strokes: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """A class.

    Attributes
    ----------
    name, colour
        The colour as ``#rrggbb``.
    strokes, pixels, images
        What of it was painted, and on how many images.
    """

    name: str
    colour: str
    strokes: int
    pixels: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectReport:
    """All that stands in a report.

    Attributes
    ----------
    name
        Of the project.
    created
        ISO 8601, UTC.
    counts
        Images in each state.
    images
        Those that were worked on, or are not as they were.
    classes
        Of the model and of the strokes.
    model
        Name of the model; empty for none.
    model_problem
        Why nothing is known of it; empty when it is.
    model_rows
        Titles and texts of what is known of it.
    rounds
        That led to it.
    settings
        Titles and values: of the training, and what the list remembers.
    versions
        By the name of the package, with which the model was trained, and present ones.
    pictures
        Of images with the mask.
    methods
        The paragraph; None without a model.
    """

    name: str
    created: str
    counts: Mapping[State, int]
    images: tuple[ImageRow, ...] = ()
    classes: tuple[ClassRow, ...] = ()
    model: str = ""
    model_problem: str = ""
    model_rows: tuple[tuple[str, str], ...] = ()
    rounds: tuple[RoundRow, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str, str], ...] = ()
    pictures: tuple[ReportPicture, ...] = ()
    methods: Methods | None = None
