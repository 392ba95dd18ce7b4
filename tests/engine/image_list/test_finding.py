"""The list that an image is in, and where one is made without a question."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.image_list import finding
from unet_engine.image_list.finding import (
    list_for,
    lists_of,
    new_list_path,
    user_lists_folder,
)
from unet_engine.image_list.image_list import ImageList

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_list_is_made_beside_the_image_and_found_again(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    first = write(tmp_path / "day 1" / "a.tif")
    images = list_for(first)
    assert images.path == tmp_path / "day 1" / "day 1.unet"
    assert [entry.path for entry in images.entries] == ["a.tif"]
    images.close()
    assert lists_of(first) == (images.path,)
    # Another image of the folder comes into the same list.
    second = list_for(write(tmp_path / "day 1" / "b.tif"))
    assert [entry.path for entry in second.entries] == ["a.tif", "b.tif"]


def test_a_list_above_is_found(listed: ImageList, tmp_path: Path) -> None:
    listed.close()
    assert list_for(tmp_path / "images" / "1.tif").path == tmp_path / "plate.unet"
    assert not (tmp_path / "images" / "images.unet").exists()


def test_of_two_lists_with_one_image_the_newer_is_opened(
    listed: ImageList, tmp_path: Path
) -> None:
    image = tmp_path / "images" / "1.tif"
    other = ImageList.create(tmp_path / "images" / "other.unet")
    other.add([image])
    other.close()
    os.utime(tmp_path / "plate.unet", ns=(1, 1))
    assert [path.name for path in lists_of(image)] == ["other.unet", "plate.unet"]
    os.utime(other.path, ns=(0, 0))
    assert lists_of(image)[0].name == "plate.unet"


def test_a_folder_that_cannot_be_written_to_is_left_alone(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise DataError(f"{path} cannot be written")

    image = write(tmp_path / "share" / "a.tif")
    monkeypatch.setattr(finding, "check_writable", refuse)
    images = list_for(image)
    assert images.path.parent == user_lists_folder()
    assert images.place_of(images.entries[0]) == image
    assert [path.name for path in image.parent.iterdir()] == ["a.tif"]
    images.close()
    assert lists_of(image) == (images.path,)


def test_damaged_lists_are_passed_over(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    image = write(tmp_path / "d" / "a.tif")
    (tmp_path / "d" / "broken.unet").write_text("{")
    assert lists_of(image) == ()
    assert list_for(image).path.name == "d.unet"


def test_a_list_of_several_folders_lies_where_each_image_finds_it(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    one = write(tmp_path / "plate" / "control" / "a.tif")
    other = write(tmp_path / "plate" / "treated" / "b.tif")
    path = new_list_path(one, other)
    assert path == tmp_path / "plate" / "plate.unet"
    images = ImageList.create(path)
    images.add([one, other])
    images.close()
    assert lists_of(one) == lists_of(other) == (path,)
    assert new_list_path(one, one) == one.parent / "control.unet"
    # Nowhere would both find it: it is as for the first alone.
    far = write(tmp_path / "x" / "1" / "2" / "3" / "c.tif")
    assert new_list_path(one, far) == new_list_path(one)
