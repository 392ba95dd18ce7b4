"""The report of a project: what stands in it, and that its page runs nothing."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Pillow

from unet_engine.cli import main
from unet_engine.generators import drain
from unet_engine.image_list.image_list import ImageList
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.renaming import rename_model, write_notes
from unet_engine.project_report.page import report_page
from unet_engine.project_report.pictures import with_mask
from unet_engine.project_report.project import iter_report

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.store import ModelStore
    from unet_engine.project_report.contents import ProjectReport

CELL = "<b>cell</b>"


def report_of(project: Path, store: ModelStore, **how: object) -> ProjectReport:
    images = ImageList.open(project, write=False)
    return drain(iter_report(images, store, **how))  # type: ignore[arg-type]


class Elements(HTMLParser):
    """Collects the tags of a page, and what they load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "data", "action"):
                self.loaded.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def test_images_strokes_and_rounds_are_in_the_report(
    project: Path, store: ModelStore
) -> None:
    report = report_of(project, store, pictures=0)
    rows = {row.path: row for row in report.images}
    assert rows["a.tif"].strokes == 3 and rows["a.tif"].model == "two"
    assert rows["b.tif"].state == "accepted" and "c.tif" not in rows
    background, cell = report.classes
    assert (background.strokes, background.pixels, background.images) == (1, 40, 1)
    assert (cell.name, cell.strokes, cell.pixels) == (CELL, 2, 32)
    assert [row.model for row in report.rounds] == ["one", "two"]
    assert [row.stroke_count for row in report.rounds] == [16, 40]
    assert report.rounds[1].score is not None
    assert report.rounds[1].score.value == pytest.approx(0.7)
    assert ("batch", "4") in report.settings
    assert ("torch", "6.5") in [one[:2] for one in report.versions]


def test_strokes_on_several_planes_and_far_apart_are_counted(
    project: Path, store: ModelStore
) -> None:
    from unet_engine.annotations.store import ImageIdentity, StrokeStore
    from unet_engine.images import Image
    from unet_engine.project_report.painted import iter_painted
    from unet_engine.stopping import never

    image = Image.from_array(np.zeros((2, 900, 900), np.uint8), "ZYX", name="b")
    path = project.with_name("b.tif")
    strokes = StrokeStore().open(ImageIdentity.of(image, path))
    strokes.name_classes(("background", CELL))
    # Over the borders of blocks; the same place on the next plane is another stroke.
    for plane in (0, 1):
        strokes.set([np.full(600, plane), np.full(600, 5), np.arange(600)], 1)
    strokes.set([[0], [880], [880]], 1)
    strokes.close()
    images = ImageList.open(project, write=False)
    found = dict(iter_painted(images, StrokeStore(), never))
    assert found["b.tif"].strokes == {CELL: 3}


def test_text_from_outside_is_text_on_the_page(
    project: Path, store: ModelStore
) -> None:
    evil = "<script>alert('1')</script><img src=x onerror=alert(1)>"
    write_notes(store, "two", notes=evil)
    if sys.platform != "win32":
        name = project.with_name("<img src=x onerror=alert(1)>.tif")
        project.with_name("c.tif").rename(name)
        images = ImageList.open(project)
        entry = images.get("c.tif")
        assert entry is not None
        images.update(entry, path=name.name, state="accepted")
        images.close()
    page = report_page(report_of(project, store, pictures=3))
    found = Elements(page)
    assert "script" not in found.tags and not found.handlers
    assert "b" not in found.tags
    assert found.loaded and all(one.startswith("data:image/") for one in found.loaded)
    assert "&lt;script&gt;" in page
    assert "url(" not in page and 'http-equiv="Content-Security-Policy"' in page
    assert page.count("data:image/png;base64,") == 3


def test_what_is_not_there_any_more_is_stated(project: Path, store: ModelStore) -> None:
    project.with_name("b.tif").unlink()
    store.info("two").path.unlink()
    report = report_of(project, store)
    problems = {row.path: row.problem for row in report.images}
    assert "is not there" in problems["b.tif"] and not problems["a.tif"]
    assert "two is not there any more" in report.model_problem
    shown = {one.name: one for one in report.pictures}
    assert shown["a.tif"].data and not shown["b.tif"].data and shown["b.tif"].problem
    page = report_page(report)
    assert "two is not there any more" in page and report.methods is None


def test_a_renamed_model_is_found(project: Path, store: ModelStore) -> None:
    rename_model(store, "two", "glands")
    report = report_of(project, store, pictures=0)
    assert report.model == "glands"
    assert [row.model for row in report.rounds] == ["one", "glands"]


def test_a_model_file_that_is_damaged(project: Path, store: ModelStore) -> None:
    path = store.info("two").path
    path.write_bytes(path.read_bytes()[:-40])
    report = report_of(project, store, pictures=1)
    assert "damaged" in report.model_problem
    assert report.pictures[0].data


def test_a_mask_is_drawn_with_an_outline_in_the_colour_of_its_class() -> None:
    picture = np.full((9, 9, 3), 100, np.uint8)
    labels = np.zeros((9, 9), int)
    labels[2:7, 2:7] = 1
    drawn = with_mask(picture, labels)
    assert (drawn[0, 0] == 100).all()
    assert drawn[2, 2].tolist() == [0x00, 0xD4, 0x9B]
    assert drawn[4, 4].tolist() != drawn[2, 2].tolist() != [100] * 3
    assert (picture == 100).all()


def test_the_picture_has_the_mask_of_the_model(
    project: Path, store: ModelStore
) -> None:
    from base64 import b64decode
    from io import BytesIO

    images = []
    model = Checkpoint.load(store.info("two").path)
    for bias in (-50.0, 50.0):
        # A model that sees its class nowhere, and one that sees it everywhere.
        head = next(n for n, w in model.weights.items() if w.shape == (2,))
        model.weights[head][:] = [0.0, bias]
        store.save("two", model, overwrite=True)
        (picture,) = report_of(project, store, pictures=1).pictures
        data = b64decode(picture.data.partition(",")[2])
        images.append(np.asarray(Pillow.open(BytesIO(data))).astype(int))
    nowhere, everywhere = images
    assert nowhere.shape == everywhere.shape == (48, 56, 3)
    assert (nowhere[..., 0] == nowhere[..., 1]).all()
    assert (everywhere[..., 1] >= nowhere[..., 1]).mean() > 0.8
    assert (everywhere != nowhere).any(axis=-1).all()


def test_the_command_writes_a_page_and_replaces_nothing(
    project: Path, store: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    out = project.with_name("report.html")
    command = ["report", str(project), "--out", str(out), "--pictures", "1"]
    assert main(command) == 0
    assert "report of plate.unet" in capsys.readouterr().err
    assert out.read_text("utf-8").startswith("<!DOCTYPE html>")
    out.write_text("mine")
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err and out.read_text() == "mine"
    assert main([*command, "--overwrite"]) == 0
    assert "plate" in out.read_text("utf-8")
    assert main(["report", str(project), "-q"]) == 0
    assert project.with_name("plate-report.html").exists()


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--out", "a.pdf"], "print it to a PDF"),
        (["--out", "a.txt"], "ends in .html"),
        (["--model", "other"], "there is no model 'other'"),
    ],
)
def test_what_cannot_be_written_is_refused(
    project: Path,
    words: list[str],
    advice: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(project.parent)
    assert main(["report", str(project), *words]) == 1
    assert advice in capsys.readouterr().err
    assert not list(project.parent.glob("*.html"))


def test_the_curve_has_named_axes(project: Path, store: ModelStore) -> None:
    from base64 import b64decode

    page = report_page(report_of(project, store, pictures=0))
    found = re.search(r"data:image/svg\+xml;base64,([^\"]+)", page)
    assert found is not None
    drawing = b64decode(found[1]).decode()
    assert ">strokes</text>" in drawing and ">IoU</text>" in drawing
    assert drawing.count("<circle") == 2
