"""Images that moved, changed or vanished: settled where certain, asked about else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.errors import DataError
from unet_engine.image_list.checking import (
    begin_anew,
    check_images,
    find_moved,
    keep,
    settle,
)
from unet_engine.image_list.fingerprints import digest_of, fingerprint
from unet_engine.image_list.image_list import ImageList, relative_path

if TYPE_CHECKING:
    from collections.abc import Callable


def worked_on(images: ImageList, number: int = 0) -> None:
    """State that an image was painted on."""
    entry = images.entries[number]
    images.update(entry, state="strokes", **fingerprint(images.place_of(entry)))


def troubles(images: ImageList) -> list[tuple[str, str]]:
    return [(p.entry.name, p.trouble) for p in check_images(images).problems]


def test_nothing_is_wrong_at_first(listed: ImageList) -> None:
    worked_on(listed)
    checked = check_images(listed)
    assert not checked.problems and not checked.settled


def test_a_copy_with_another_time_is_the_same(listed: ImageList) -> None:
    worked_on(listed)
    place = listed.place_of(listed.entries[0])
    os.utime(place, ns=(1, 1))
    checked = check_images(listed)
    assert not checked.problems
    settle(listed, checked)
    assert listed.entries[0].stamp.endswith(" 1")


def test_other_pixels_are_asked_about_and_kept_or_begun_anew(
    listed: ImageList, write: Callable[..., Path]
) -> None:
    for number in (0, 1):
        worked_on(listed, number)
        place = listed.place_of(listed.entries[number])
        write(place, 100 + number)
        os.utime(place, ns=(1, 1))
    first, second = check_images(listed).problems
    assert (first.trouble, second.trouble) == ("changed", "changed")
    settle(listed, check_images(listed))
    assert troubles(listed) == [("0.tif", "changed"), ("1.tif", "changed")]
    assert keep(listed, first).state == "strokes"
    assert begin_anew(listed, second).state == "untouched"
    assert not troubles(listed), "asked once"


def test_an_untouched_image_may_change(
    listed: ImageList, write: Callable[..., Path]
) -> None:
    write(listed.place_of(listed.entries[0]), 77)
    assert not troubles(listed)


def test_painted_without_a_digest_is_not_reused(listed: ImageList) -> None:
    listed.update(listed.entries[0], state="accepted")
    os.utime(listed.place_of(listed.entries[0]), ns=(1, 1))
    assert troubles(listed) == [("0.tif", "changed")]


def test_images_that_stay_behind_are_found(listed: ImageList, tmp_path: Path) -> None:
    listed.close()
    target = tmp_path / "lists"
    target.mkdir()
    shutil.move(tmp_path / "plate.unet", target)
    moved = ImageList.open(target / "plate.unet")
    settle(moved, check_images(moved))
    assert moved.entries[0].path == "../images/0.tif"
    moved.close()
    again = ImageList.open(target / "plate.unet")
    assert again.was_in is None and not troubles(again)


def test_vanished_images_are_found_in_another_folder(
    listed: ImageList, tmp_path: Path, write: Callable[..., Path]
) -> None:
    worked_on(listed, 1)
    target = tmp_path / "moved" / "deep"
    shutil.move(tmp_path / "images", target)
    write(target / "1.tif", 99)
    (target / "2.tif").unlink()
    problems = check_images(listed).problems
    assert {p.trouble for p in problems} == {"missing"} and len(problems) == 4
    same, other = find_moved(problems, tmp_path)
    assert set(same) == {"images/0.tif", "images/3.tif"}
    assert other == {"images/1.tif": target / "1.tif"}, "never taken without a question"
    listed.relocate(same)
    assert troubles(listed) == [("1.tif", "missing"), ("2.tif", "missing")]
    keep(listed, problems[1], target / "1.tif")
    assert troubles(listed) == [("2.tif", "missing")]
    with pytest.raises(DataError, match="remove it from the list"):
        keep(listed, problems[2])
    listed.remove([problems[2].entry])
    assert not troubles(listed)


def test_a_search_needs_a_folder(listed: ImageList, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in which the images are now"):
        find_moved((), tmp_path / "none")


names = st.text("ab 1é", min_size=1, max_size=3).map(str.strip).filter(bool)


@given(parts=st.lists(names, min_size=1, max_size=3), up=st.lists(names, max_size=2))
def test_relative_paths_lead_back(parts: list[str], up: list[str]) -> None:
    folder = Path("/data", *up)
    for place in (Path("/data", *parts), folder.joinpath(*parts)):
        path = relative_path(place, folder)
        assert Path(os.path.normpath(folder / path)) == place
        assert not path.startswith("/") and "\\" not in path


@given(
    folders=st.lists(
        st.sampled_from(["a", "b", "c"]), unique=True, min_size=1, max_size=3
    ),
    twin=st.booleans(),
)
def test_files_of_one_name_are_told_apart_by_their_pixels(
    folders: list[str], twin: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("wells")
    files = []
    for number, folder in enumerate(folders):
        (root / folder).mkdir()
        files.append(root / folder / "field.tif")
        tifffile.imwrite(files[-1], np.full((4, 4), 0 if twin else number, np.uint8))
    images = ImageList.create(root / "wells.unet")
    images.add(files)
    for number in range(len(files)):
        worked_on(images, number)
    contents = {e.path: images.place_of(e).read_bytes() for e in images.entries}
    for folder in folders:
        shutil.move(root / folder, root / "far" / folder)
    same, other = find_moved(check_images(images).problems, root / "far")
    assert not other
    # Each to a place of its own, and of equal ones each to that of its folder.
    assert same == {f"{f}/field.tif": root / "far" / f / "field.tif" for f in folders}
    assert {path: place.read_bytes() for path, place in same.items()} == contents


def test_a_zarr_has_the_digest_of_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    array = zarr.create_array(
        path,
        shape=(3, 300, 300),
        dtype="u1",
        chunks=(1, 64, 64),
        dimension_names=["z", "y", "x"],
    )
    array[:] = 1
    before = digest_of(path)
    assert digest_of(path) == before
    array[1, 150, 150] = 2
    assert digest_of(path) != before


def test_a_zarr_without_axes_has_the_digest_of_its_description(tmp_path: Path) -> None:
    paths = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    for size, path in enumerate(paths, start=3):
        zarr.create_array(path, shape=(size, 9, 9), dtype="u1")
    assert digest_of(paths[0]) != digest_of(paths[1])


def test_parts_of_a_large_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_engine.image_list.fingerprints._WHOLE", 2**20)
    path = tmp_path / "large.tif"
    data = bytearray(2**23)
    path.write_bytes(data)
    before = digest_of(path)
    data[-1] = 1
    path.write_bytes(data)
    assert digest_of(path) != before
