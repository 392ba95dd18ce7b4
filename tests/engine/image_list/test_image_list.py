"""A list of images: adding, changing, neighbours, saving, two windows on one list."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.errors import DataError
from unet_engine.image_list.entry import STATES, Entry
from unet_engine.image_list.gathering import gather_images
from unet_engine.image_list.image_list import ImageList
from unet_engine.image_list.list_file import Contents, read_contents, write_contents
from unet_engine.image_list.saving import ListSaver

if TYPE_CHECKING:
    from pathlib import Path


def names_of(images: ImageList) -> list[str]:
    return [entry.name for entry in images.entries]


def test_paths_are_relative_and_come_back(listed: ImageList, tmp_path: Path) -> None:
    listed.update(listed.entries[1], state="strokes", classes=("cell",), model="mine")
    listed.choose_model("mine")
    listed.remember({"object_size": 12.5})
    listed.close()
    again = ImageList.open(tmp_path / "plate.unet")
    assert again.entries == listed.entries
    assert [entry.path for entry in again.entries][:2] == [
        "images/0.tif",
        "images/1.tif",
    ]
    assert (again.model, again.settings) == ("mine", {"object_size": 12.5})
    assert again.place_of(again.entries[0]) == tmp_path / "images" / "0.tif"


def test_a_folder_with_its_list_moves(listed: ImageList, tmp_path: Path) -> None:
    listed.close()
    target = tmp_path / "elsewhere"
    target.mkdir()
    shutil.move(tmp_path / "images", target)
    shutil.move(tmp_path / "plate.unet", target)
    moved = ImageList.open(target / "plate.unet")
    assert all(moved.place_of(entry).exists() for entry in moved.entries)


def test_images_are_added_once(listed: ImageList, tmp_path: Path) -> None:
    again = [tmp_path / "images" / "1.tif", tmp_path / "images" / ".." / "images/2.tif"]
    added = listed.add(again)
    assert (len(added.new), len(added.known), len(listed)) == (0, 2, 4)


def test_a_link_to_the_folder_leads_to_the_same_images(
    listed: ImageList, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "images", target_is_directory=True)
    entry = listed.entry_of(link / "1.tif")
    assert entry is not None and entry.path == "images/1.tif"
    assert not listed.add([link / "1.tif"]).new


def test_removal_leaves_files(listed: ImageList, tmp_path: Path) -> None:
    assert listed.remove(listed.entries[1:3]) == 2
    assert names_of(listed) == ["0.tif", "3.tif"]
    assert (tmp_path / "images" / "1.tif").exists()


def test_neighbours_pass_the_filter(listed: ImageList) -> None:
    first, second, _, last = listed.entries
    listed.update(last, state="accepted")
    assert listed.neighbour(None, 1) == first
    assert listed.neighbour(first, 1) == second
    assert listed.neighbour(first, 1, "accepted") == listed.entries[-1]
    assert listed.neighbour(first, -1) is None
    assert listed.neighbour(None, -1, "untouched") == listed.entries[2]
    assert listed.neighbour(first, 1, text="3.TIF") == listed.entries[3]


@given(
    states=st.lists(st.sampled_from(STATES), min_size=1, max_size=8),
    wanted=st.sampled_from(STATES),
)
def test_going_on_meets_every_image_of_a_state_once(
    states: list, wanted: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("list") / "l.unet"
    entries = tuple(Entry(path=f"{n}.tif", state=s) for n, s in enumerate(states))
    write_contents(path, Contents(entries=entries))
    images = ImageList.open(path, write=False)
    for step in (1, -1):
        met, current = [], None
        while (current := images.neighbour(current, step, wanted)) is not None:
            met.append(current)
        assert met == [e for e in entries if e.state == wanted][::step]


def test_the_second_window_is_read_only(listed: ImageList, tmp_path: Path) -> None:
    second = ImageList.open(tmp_path / "plate.unet")
    assert not listed.read_only
    assert "open in another window (process" in second.read_only
    with pytest.raises(DataError, match="close it there and open it again"):
        second.add([tmp_path / "images" / "0.tif"])
    with pytest.raises(DataError, match="cannot be changed"):
        second.update(second.entries[0], state="accepted")
    second.choose_model("other")
    second.close()
    assert second.model == ""
    listed.close()
    third = ImageList.open(tmp_path / "plate.unet")
    third.update(third.entries[0], state="accepted")
    third.close()
    assert read_contents(tmp_path / "plate.unet").entries[0].state == "accepted"


def test_two_lists_in_a_folder_are_locked_apart(
    listed: ImageList, tmp_path: Path
) -> None:
    other = ImageList.create(tmp_path / "other.unet")
    assert not other.read_only
    other.add([tmp_path / "images" / "0.tif"])
    other.update(other.entries[0], state="accepted")
    assert listed.entries[0].state == "untouched"


def test_a_newer_list_is_refused_with_what_to_do(
    listed: ImageList, tmp_path: Path
) -> None:
    listed.close()
    path = tmp_path / "plate.unet"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"newer version.*pip install -U"):
        ImageList.open(path)
    assert path.read_bytes() == before
    # The other advice: a new list of the same images.
    fresh = ImageList.create(tmp_path / "new.unet")
    assert len(fresh.add(gather_images([tmp_path / "images"]).images).new) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "other"}',
        '{"format": "napari-unet image list", "version": 1}',
        '{"format": "napari-unet image list", "version": 1, "images": [{}]}',
        '{"format": "napari-unet image list", "version": 1, "images": [{"path": 3}]}',
        '{"format": "napari-unet image list", "version": 1,'
        ' "images": [{"path": "a"}, {"path": "a"}]}',
        '{"format": "napari-unet image list", "version": 1,'
        ' "images": [{"path": "a", "state": "odd"}]}',
        "\x00\xff",
    ],
)
def test_what_is_no_list_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.unet"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"bad\.unet (is no image list|is damaged)"):
        ImageList.open(path)
    assert not ImageList.create(tmp_path / "good.unet").read_only


def test_names_of_files_are_checked(tmp_path: Path, listed: ImageList) -> None:
    with pytest.raises(DataError, match=r"ends in \.unet"):
        ImageList.create(tmp_path / "plate.json")
    with pytest.raises(DataError, match="exists already; open it"):
        ImageList.create(tmp_path / "plate.unet")
    with pytest.raises(DataError, match="check the path"):
        ImageList.open(tmp_path / "none.unet")


def test_a_failed_save_leaves_the_earlier_list(
    listed: ImageList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = (tmp_path / "plate.unet").read_bytes()
    listed.update(listed.entries[0], state="accepted")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        saver = ListSaver(listed)
        saver.save_soon()
        saver.finish()
    assert "No space left" in saver.error
    assert (tmp_path / "plate.unet").read_bytes() == before
    saver.save_soon()
    saver.finish()
    assert not saver.error
    assert read_contents(tmp_path / "plate.unet").entries[0].state == "accepted"


def test_nobody_waits_for_a_save_that_failed_unexpectedly(listed: ImageList) -> None:
    listed.remember({"odd": object()})
    saver = ListSaver(listed)
    saver.save_soon()
    saver.finish()
    assert "was not saved" in saver.error
    listed.remember({"odd": 1})
    saver.save_soon()
    saver.finish()
    assert not saver.error


def test_changes_in_a_row_are_all_saved(listed: ImageList, tmp_path: Path) -> None:
    saver = ListSaver(listed)
    for entry in listed.entries:
        listed.update(entry, state="accepted")
        saver.save_soon()
    saver.finish()
    states = {e.state for e in read_contents(tmp_path / "plate.unet").entries}
    assert states == {"accepted"}


def test_gathering_takes_images_only(listed: ImageList, tmp_path: Path) -> None:
    (tmp_path / "images" / "notes.txt").write_text("x")
    images = tmp_path / "images"
    found = gather_images([images, images / "0.tif", images / "notes.txt"])
    assert [path.name for path in found.images] == [f"{n}.tif" for n in range(4)]
    assert found.note.startswith("notes.txt not added")
    pattern = gather_images([tmp_path / "**" / "[12].tif"])
    assert [path.name for path in pattern.images] == ["1.tif", "2.tif"]
    # The list lies in the folder of the images as a rule.
    assert [p.name for p in gather_images([tmp_path / "images"]).images] == [
        f"{n}.tif" for n in range(4)
    ]


def test_ten_thousand_images_are_added_without_opening_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number}.tif").touch()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    images = ImageList.create(tmp_path / "many.unet")
    with monkeypatch.context() as patch:
        patch.setattr("unet_engine.images.opening.open_image", refuse)
        patch.setattr("pathlib.Path.open", refuse)
        added = images.add(gather_images([folder]).images)
    assert [entry.name for entry in added.new[:11]][-1] == "10.tif"
    images.close()
    assert len(read_contents(images.path).entries) == 10_000
