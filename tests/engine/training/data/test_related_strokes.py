"""Strokes on images that are not open: which belong to a task, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_engine.annotations.recovery import newest_file
from unet_engine.annotations.store import ImageIdentity, StrokeStore
from unet_engine.errors import DataError
from unet_engine.image_list.image_list import ImageList
from unet_engine.images import Image, open_image
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.models.spec import ModelSpec
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data import related_strokes as related
from unet_engine.training.data.labelled_images import training_pairs
from unet_engine.training.data.pairs import check_pairs
from unet_engine.training.data.related_strokes import (
    LeftOut,
    Task,
    model_family,
    related_strokes,
)

NAMES = ("background", "cell")
SPEC = ModelSpec(depth=2, width=4, classes=NAMES)


@pytest.fixture
def store(tmp_path: Path) -> StrokeStore:
    return StrokeStore(tmp_path / "strokes")


def paint(store, path, *, names=NAMES, model="nuclei", shape=(60, 64), rgb=False):
    """Write an image, paint on it as the window does, and return the strokes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    if not path.exists():
        tifffile.imwrite(path, pixels, photometric="rgb" if rgb else "minisblack")
    image = Image.from_array(pixels, "YXC" if rgb else "YX", name=path.stem, rgb=rgb)
    notes = store.open(ImageIdentity.of(image, path))
    if names:
        notes.name_classes(names, {"name": model})
    for value in range(2):
        region = slice(9 + 20 * value, 14 + 20 * value), slice(10, 40)
        notes.accept((), region, np.full((5, 30), value, np.uint8))
    notes.close()
    return notes


def info(name, *parents, bundled=False, data=()):
    """Describe a model that was tuned from others, one after the other."""
    history = tuple({"parent": p, "data": list(data)} for p in parents)
    return ModelInfo(
        name=name, path=Path(name), spec=SPEC, history=history, bundled=bundled, size=0
    )


def task(*images, **fields):
    return Task(**{"classes": NAMES, "channels": 1, "images": images, **fields})


def listing(folder, *files):
    """Return the members of a list of files, which need not be there."""
    made = ImageList.create(folder / "plate.unet")
    made.add(files)
    return made.members()


def names_of(found):
    return [one.image.name for one in found]


def reason(found) -> str:
    """Return the reason of the only one there is, which is left out."""
    (one,) = found
    assert isinstance(one, LeftOut)
    assert "\n" not in one.reason
    return one.reason


def test_strokes_of_the_folder_are_found_the_newest_first(store, tmp_path):
    painted = {}
    for number, name in enumerate(["b", "c", "a", "open"]):
        painted[name] = paint(store, tmp_path / "project" / f"{name}.tif")
        os.utime(newest_file(painted[name].folder), (number, number))
    paint(store, tmp_path / "other" / "d.tif")
    found = related_strokes(
        task(tmp_path / "project" / "open.tif"), store, without=[painted["open"].folder]
    )
    first = next(found)
    assert first.image.name == "a"
    assert first.strokes.classes() == {0: 150, 1: 150}
    assert first.folder == painted["a"].folder
    np.testing.assert_array_equal(
        first.in_classes(("cell", "background")).strokes.target(()) == 0,
        painted["a"].target(()) == 1,
    )
    assert names_of(found) == ["c", "b"]


def test_reading_ends_with_who_asks_for_it(store, tmp_path):
    for name in "abc":
        paint(store, tmp_path / f"{name}.tif")
    opened = []

    def open_file(path, axes):
        opened.append(path)
        return open_image(path, axes=axes)

    here = task(tmp_path / "open.tif")
    found = related_strokes(here, store, open_file=open_file)
    assert opened == []
    next(found)
    assert len(opened) == 1
    assert not list(related_strokes(here, store, stop=lambda: True))
    why = reason(related_strokes(here, store, seconds=0))
    assert why.startswith("the strokes in 3 older folders were not searched")


def test_the_newest_of_too_many_images_are_found(store, tmp_path, monkeypatch):
    monkeypatch.setattr(related, "_MOST", 2)
    for number, name in enumerate("abc"):
        folder = paint(store, tmp_path / f"{name}.tif").folder
        os.utime(newest_file(folder), (number, number))
    *found, left_out = related_strokes(task(tmp_path / "open.tif"), store)
    assert names_of(found) == ["c", "b"]
    assert left_out.reason.startswith("the strokes in 1 older folder were not searched")
    assert left_out.folder is None


def test_a_name_of_a_class_alone_is_no_task(store, tmp_path):
    paint(store, tmp_path / "other" / "a.tif", model="nuclei")
    models = (info("nuclei", bundled=True),)
    here = task(tmp_path / "open.tif", model="nuclei", models=models)
    assert not list(related_strokes(here, store)), "everybody begins with nuclei"


def test_strokes_for_the_family_of_the_chosen_model_are_found(store, tmp_path):
    paint(store, tmp_path / "1" / "a.tif", model="mine")
    paint(store, tmp_path / "2" / "b.tif", model="mine-2")
    paint(store, tmp_path / "3" / "c.tif", model="theirs")
    models = (
        info("nuclei", bundled=True),
        info("mine", "nuclei"),
        info("mine-2", "nuclei", "mine"),
        info("theirs", "nuclei"),
    )
    here = task(tmp_path / "open.tif", model="mine-2", models=models)
    assert sorted(names_of(related_strokes(here, store))) == ["a", "b"]


def test_strokes_that_the_model_has_learned_from_are_found(store, tmp_path):
    paint(store, tmp_path / "1" / "a.tif", model="nuclei")
    paint(store, tmp_path / "2" / "ab.tif", model="nuclei")
    paint(store, tmp_path / "3" / "ab.tif", model="membranes")
    models = (
        info("nuclei", bundled=True),
        info("mine", "nuclei", data=["ab (0,)"]),
    )
    here = task(tmp_path / "open.tif", model="mine", models=models)
    (found,) = related_strokes(here, store)
    assert found.strokes.recovery.image_info["path"] == str(tmp_path / "2" / "ab.tif")


def test_the_model_that_was_chosen_last_counts(store, tmp_path):
    notes = paint(store, tmp_path / "1" / "a.tif", model="nuclei")
    notes.resume()
    notes.name_classes(NAMES, {"name": "mine"})
    notes.accept((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8))
    notes.close()
    here = task(tmp_path / "open.tif", model="mine")
    assert names_of(related_strokes(here, store)) == ["a"]


def test_families_of_models():
    models = (
        info("nuclei", bundled=True),
        info("a", "nuclei"),
        info("b", "nuclei", "a"),
        info("c", "nuclei", "a"),
        info("d", "nuclei"),
    )
    assert model_family("b", models) == {"a", "b", "c"}
    assert model_family("d", models) == {"d"}
    assert model_family("new", models) == {"new"}
    assert model_family("nuclei", models) == set()


def test_what_was_moved_together_with_the_open_image_is_found(store, tmp_path):
    paint(store, tmp_path / "before" / "a.tif")
    (tmp_path / "before").rename(tmp_path / "after")
    (found,) = related_strokes(task(tmp_path / "after" / "open.tif"), store)
    assert found.image.read((), (slice(None), slice(None))).shape == (1, 60, 64)


def test_strokes_that_another_window_works_on_are_read(store, tmp_path):
    paint(store, tmp_path / "a.tif").resume()
    pixels = tifffile.imread(tmp_path / "a.tif")
    image = Image.from_array(pixels, "YX", name="a")
    notes = store.open(ImageIdentity.of(image, tmp_path / "a.tif"))
    notes.accept((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8))
    (found,) = related_strokes(task(tmp_path / "open.tif"), store)
    assert found.strokes.count() == notes.count() == 304
    notes.close()


def test_an_image_that_is_gone_is_left_out_until_it_is_back(store, tmp_path):
    paint(store, tmp_path / "a.tif")
    (tmp_path / "a.tif").rename(tmp_path / "kept")
    here = task(tmp_path / "open.tif")
    assert "is not there any more; open it from where it is now" in reason(
        related_strokes(here, store)
    )
    (tmp_path / "kept").rename(tmp_path / "a.tif")
    assert names_of(related_strokes(here, store)) == ["a"]


def test_an_image_that_has_changed_is_left_out_until_it_is_painted_on(store, tmp_path):
    path = tmp_path / "a.tif"
    paint(store, path)
    tifffile.imwrite(path, np.zeros((60, 64), np.uint8))
    os.utime(path, (1, 1))
    here = task(tmp_path / "open.tif")
    assert "has changed since it was painted on" in reason(related_strokes(here, store))
    image = Image.from_array(np.zeros((60, 64), np.uint8), "YX", name="a")
    notes = store.open(ImageIdentity.of(image, path))
    notes.accept((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8))
    notes._log._compacting.join()
    notes.close()
    assert names_of(related_strokes(here, store)) == ["a"]


def test_an_image_of_another_size_is_left_out(store, tmp_path):
    paint(store, tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 64), np.uint8))
    here = task(tmp_path / "open.tif")
    assert "has changed since it was painted on" in reason(related_strokes(here, store))


def test_other_channels_are_left_out(store, tmp_path):
    paint(store, tmp_path / "a.tif", shape=(60, 64, 3), rgb=True)
    why = reason(related_strokes(task(tmp_path / "open.tif"), store))
    assert "a.tif has 3 channels, and the open image 1" in why
    here = task(tmp_path / "open.tif", channels=3)
    assert names_of(related_strokes(here, store)) == ["a"]


def test_other_classes_are_left_out_until_they_are_added(store, tmp_path):
    paint(store, tmp_path / "a.tif", names=("background", "mitochondria"))
    why = reason(related_strokes(task(tmp_path / "open.tif"), store))
    assert "are of the class 'mitochondria', which the model does not have" in why
    here = task(tmp_path / "open.tif", classes=(*NAMES, "mitochondria"))
    (found,) = related_strokes(here, store)
    assert found.in_classes(here.classes).strokes.classes() == {0: 150, 2: 150}


def test_strokes_without_names_are_left_out_until_they_are_painted_on(store, tmp_path):
    paint(store, tmp_path / "a.tif", names=())
    here = task(tmp_path / "open.tif")
    assert "names of the classes were not saved" in reason(related_strokes(here, store))
    paint(store, tmp_path / "a.tif")
    notes = paint(store, tmp_path / "a.tif", names=(*NAMES, "nucleolus"))
    notes.resume()
    notes.accept((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8))
    notes.close()
    assert names_of(related_strokes(here, store)) == ["a"]


def test_an_image_from_no_file_is_left_out(store, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 64)).astype(np.uint8)
    notes = store.open(
        ImageIdentity.of(Image.from_array(pixels, "YX", name="array"), None)
    )
    notes.name_classes(NAMES, {"name": "mine"})
    notes.accept((), (slice(0, 2), slice(0, 2)), np.ones((2, 2), np.uint8))
    notes.close()
    why = reason(related_strokes(task(model="mine"), store))
    assert why.startswith("'array', which was painted on, came from no file")
    assert not list(related_strokes(task(model="yours"), store))


def test_damaged_strokes_are_named(store, tmp_path):
    folder = paint(store, tmp_path / "a.tif").folder
    data = bytearray(newest_file(folder).read_bytes())
    data[40:60] = bytes(20)
    newest_file(folder).write_bytes(data)
    paint(store, tmp_path / "b.tif")
    found = list(related_strokes(task(tmp_path / "open.tif"), store))
    (left_out,) = (one for one in found if isinstance(one, LeftOut))
    assert str(folder) in left_out.reason
    assert "damaged at their beginning" in left_out.reason
    assert len(found) == 2


def test_an_image_that_is_removed_before_it_is_read_is_left_out(store, tmp_path):
    for name in "ab":
        paint(store, tmp_path / f"{name}.tif")
    found = list(related_strokes(task(tmp_path / "open.tif"), store))
    (tmp_path / "a.tif").unlink()
    data, notes = [one.in_classes(NAMES) for one in found], []
    pairs = list(training_pairs(data, SPEC, FineTuneConfig(), notes.append))
    assert [pair.name for pair in pairs] == ["b"]
    (note,) = notes
    assert note.startswith("without the strokes on a: ")
    assert "a.tif cannot be read any more" in note
    check_pairs(pairs, SPEC)
    assert set(np.unique(pairs[0].target)) == {0, 1, IGNORE}


def test_an_image_that_is_open_must_be_readable(store, tmp_path):
    from dataclasses import replace

    paint(store, tmp_path / "a.tif")
    (found,) = related_strokes(task(tmp_path / "open.tif"), store)
    (tmp_path / "a.tif").unlink()
    data = [replace(found.in_classes(NAMES), optional=False)]
    with pytest.raises(DataError, match="cannot be read any more"):
        list(training_pairs(data, SPEC, FineTuneConfig()))


def test_strokes_on_images_of_a_list_are_found_wherever_they_are(store, tmp_path):
    for name in ("a", "b"):
        paint(store, tmp_path / name / f"{name}.tif", model="other")
    files = tmp_path / "a" / "a.tif", tmp_path / "c" / "never painted.tif"
    listed = listing(tmp_path, *files)
    found = list(related_strokes(task(model="mine", listed=listed), store))
    assert names_of(found) == ["a"]


def test_an_image_of_a_list_is_found_where_it_is_now(store, tmp_path):
    paint(store, tmp_path / "before" / "a.tif")
    (tmp_path / "before").rename(tmp_path / "after")
    listed = listing(tmp_path, tmp_path / "after" / "a.tif")
    assert names_of(related_strokes(task(listed=listed), store)) == ["a"]
    # Another image of that name is refused and not learned from.
    tifffile.imwrite(tmp_path / "after" / "a.tif", np.ones((60, 64), np.uint8))
    assert "has changed" in reason(list(related_strokes(task(listed=listed), store)))


def test_all_images_of_a_list_are_found_though_there_are_many(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(related, "_MOST", 1)
    names = "abcd"
    for name in names:
        paint(store, tmp_path / "list" / f"{name}.tif")
        paint(store, tmp_path / "open" / f"{name}.tif")
    listed = listing(tmp_path, *(tmp_path / "list" / f"{n}.tif" for n in names))
    which = task(tmp_path / "open" / "none.tif", listed=listed)
    *found, rest = related_strokes(which, store)
    assert len(found) == len(names) + 1
    assert isinstance(rest, LeftOut) and "3 older folders" in rest.reason
    assert sum(one.folder is None for one in found if isinstance(one, LeftOut)) == 0
    # No time is left for others.
    in_time = list(related_strokes(which, store, seconds=0))
    assert len(in_time) == len(names) + 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files")
def test_many_images_with_strokes_need_no_open_files(store, tmp_path):
    for number in range(20):
        paint(store, tmp_path / "list" / f"{number}.tif")
    before = len(os.listdir("/proc/self/fd"))
    listed = listing(tmp_path, *(tmp_path / "list" / f"{n}.tif" for n in range(20)))
    found = list(related_strokes(task(listed=listed), store))
    assert len(found) == 20
    assert len(os.listdir("/proc/self/fd")) < before + 20
