"""What stands in the report of a project: its images, strokes, model and scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from unet_engine.annotations.store import StrokeStore
from unet_engine.class_colours import colour_of
from unet_engine.errors import CheckpointError, EngineError, SpecError
from unet_engine.image_list.checking import check_images
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.card import licence_of
from unet_engine.models.collection.description import describe_model
from unet_engine.models.collection.learning_curve import learning_curve
from unet_engine.models.lineage import find_known
from unet_engine.prediction.config import PredictConfig
from unet_engine.project_report.contents import (
    ClassRow,
    ImageRow,
    ProjectReport,
    ReportDone,
)
from unet_engine.project_report.methods import methods_of
from unet_engine.project_report.painted import iter_painted
from unet_engine.project_report.pictures import ReportPicture, make_picture
from unet_engine.stopping import never
from unet_engine.training.config import FineTuneConfig
from unet_engine.versions import versions_of_trainings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from unet_engine.image_list.entry import Entry
    from unet_engine.image_list.image_list import ImageList
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.project_report.painted import PaintedOn
    from unet_engine.stopping import Stop

OBJECT_SIZE = "object_size"
"""Name under which a list remembers the object size that was chosen."""

_NOT_IN_REPORTS = ("file", "size on disk", "origin", "tuned to")
"""Rows on a model that are about this computer more than about the project."""


@dataclass(slots=True, kw_only=True)
class _Strokes:
    """The strokes on the images of a list."""

    by_image: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)
    strokes: Counter[str] = field(default_factory=Counter)
    pixels: Counter[str] = field(default_factory=Counter)
    images: dict[str, set[str]] = field(default_factory=dict)

    def add(self, path: str, painted: PaintedOn) -> None:
        self.by_image[path] += sum(painted.strokes.values())
        if painted.problem:
            self.problems[path] = painted.problem
        self.strokes += painted.strokes
        self.pixels += painted.pixels
        for name in painted.pixels:
            self.images.setdefault(name, set()).add(path)


def iter_report(
    images: ImageList,
    store: ModelStore,
    *,
    strokes: StrokeStore | None = None,
    model: str = "",
    pictures: int = 6,
    config: PredictConfig | None = None,
    stop: Stop = never,
) -> Generator[ReportDone, None, ProjectReport]:
    """Gather what stands in the report of a project; nothing is changed.

    Parameters
    ----------
    images
        The list of its images.
    store
        Has its model.
    strokes
        Where its strokes are; None: the user's.
    model
        Name of the model, or the path of its file; empty: the one that the list
        remembers.
    pictures
        Images that are shown with the mask of the model, accepted ones first.
    config
        How these are predicted; None: with the object size that the list remembers.
    stop
        Polled between parts; True leaves pictures out that are not there yet.

    Raises
    ------
    CheckpointError
        When a model was named and there is none of the name.

    Yields
    ------
    ReportDone
        After each part.
    """
    total = 2 + pictures
    yield ReportDone(what="strokes", done=0, total=total)
    painted = _Strokes()
    for path, found in iter_painted(images, strokes or StrokeStore(), stop):
        painted.add(path, found)
    yield ReportDone(what="images", done=1, total=total)
    models = store.list()
    info, problem = _find_model(images, store, models, model)
    rows = _image_rows(images, painted, stop)
    last: Mapping[str, Any] = info.history[-1] if info and info.history else {}
    shown = []
    checkpoint, why = _load(info)
    how = config or _config(images)
    for number, entry in enumerate(_shown(images, rows, pictures)):
        yield ReportDone(what=entry.name, done=2 + number, total=total)
        if stop():
            break
        try:
            place = images.place_of(entry)
            shown.append(make_picture(place, entry.path, checkpoint, how, stop))
        except EngineError as error:
            shown.append(ReportPicture(name=entry.path, problem=str(error)))
    known = bool(info)
    return ProjectReport(
        name=images.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        counts=images.counts(),
        images=rows,
        classes=_class_rows(info, painted),
        model=info.name if info else model or images.model,
        model_problem=problem or why,
        model_rows=_model_rows(info, models) if info else (),
        rounds=learning_curve(info, models) if info else (),
        settings=_settings(images, last),
        versions=_versions(last, known=known),
        pictures=tuple(shown),
        methods=methods_of(info, models) if info else None,
    )


def _find_model(
    images: ImageList, store: ModelStore, models: Sequence[ModelInfo], name: str
) -> tuple[ModelInfo | None, str]:
    """Return the model of a project, or why there is none."""
    if name:
        return store.info(name), ""
    if not images.model:
        return None, "No model was chosen for this list."
    found = find_known(images.model, models)
    if found is not None:
        return found, ""
    broken = {path.stem: reason for path, reason in store.broken()}
    gone = f"The model {images.model} is not there any more."
    return None, broken.get(images.model, gone)


def _load(info: ModelInfo | None) -> tuple[Checkpoint | None, str]:
    """Return the weights of a model, or why there are none."""
    if info is None:
        return None, ""
    try:
        return Checkpoint.load(info.path), ""
    except CheckpointError as error:
        return None, str(error)


def _image_rows(
    images: ImageList, painted: _Strokes, stop: Stop
) -> tuple[ImageRow, ...]:
    """Return the images that were worked on, or that something is wrong with."""
    checked = check_images(images, stop=stop)
    problems = {one.entry.path: one.reason for one in checked.problems}
    return tuple(
        ImageRow(
            path=entry.path,
            state=entry.state,
            classes=entry.classes,
            model=entry.model,
            strokes=painted.by_image[entry.path],
            problem=problems.get(entry.path) or painted.problems.get(entry.path, ""),
        )
        for entry in images.entries
        if entry.state != "untouched"
        or entry.path in problems
        or painted.by_image[entry.path]
    )


def _shown(images: ImageList, rows: Sequence[ImageRow], most: int) -> list[Entry]:
    """Return images to show: accepted ones, those with strokes, others."""
    worked_on = sorted(rows, key=lambda row: (bool(row.problem), row.state))
    paths = [row.path for row in worked_on]
    paths += [one.path for one in images.entries if one.state == "untouched"]
    found = (images.get(path) for path in list(dict.fromkeys(paths))[:most])
    return [entry for entry in found if entry is not None]


def _config(images: ImageList) -> PredictConfig:
    """Return how pictures are predicted: with what the list remembers."""
    try:
        return PredictConfig(object_size=images.settings.get(OBJECT_SIZE, "auto"))
    except SpecError:
        return PredictConfig()


def _class_rows(info: ModelInfo | None, painted: _Strokes) -> tuple[ClassRow, ...]:
    """Return the classes of the model, and those that were painted beside them."""
    classes = info.spec.classes if info else ()
    names = dict.fromkeys((*classes, *painted.pixels))
    return tuple(
        ClassRow(
            name=name,
            colour=colour_of(number),
            strokes=painted.strokes[name],
            pixels=painted.pixels[name],
            images=len(painted.images.get(name, ())),
        )
        for number, name in enumerate(names)
    )


def _model_rows(
    info: ModelInfo, models: Sequence[ModelInfo]
) -> tuple[tuple[str, str], ...]:
    described = describe_model(info, models, licence=licence_of(info))
    rows = [row for row in described.rows if row[0] not in _NOT_IN_REPORTS]
    notes = [("notes", info.notes.notes)] if info.notes.notes else []
    return (*rows, *notes)


def _settings(
    images: ImageList, last: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """Return the settings of the last training, and the object size of the list."""
    config = last.get("config")
    values = config if isinstance(config, dict) else {}
    known = [field.name for field in fields(FineTuneConfig) if field.name in values]
    rows = [(name.replace("_", " "), _text(values[name])) for name in known]
    if (size := images.settings.get(OBJECT_SIZE)) is not None:
        rows.append(("object size", size if isinstance(size, str) else f"{size:g} px"))
    return tuple(rows)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _versions(
    last: Mapping[str, Any], *, known: bool
) -> tuple[tuple[str, str, str], ...]:
    """Return packages with their versions at the training, and now."""
    then, now = last.get("versions"), versions_of_trainings()
    recorded = then if known and isinstance(then, dict) else {}
    names = dict.fromkeys((*now, *recorded))
    return tuple((n, str(recorded.get(n, "")), now.get(n, "")) for n in names)
