"""A mask that a run wrote may be replaced by another run, until it is changed."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unet_engine.cli.files.outputs import check_free
from unet_engine.errors import DataError
from unet_engine.images import write_labels
from unet_engine.images.labels.own_results import is_unchanged_result


def labels(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("shape", [(24, 32), (3, 24, 32), (1, 24, 32)])
def test_what_a_run_wrote_may_be_replaced(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "mask.tif"
    write_labels(path, labels(dtype, shape), replaceable=True)
    assert is_unchanged_result(path)
    check_free(path, overwrite=False)


def refused(path: Path) -> bool:
    with pytest.raises(DataError, match="--overwrite"):
        check_free(path, overwrite=False)
    check_free(path, overwrite=True)
    return True


def test_one_pixel_painted_in_place_protects_it(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    mask = labels("uint8", (24, 32))
    write_labels(path, mask, replaceable=True)
    with tifffile.TiffFile(path) as file:
        software = file.pages.first.software
    mask[3, 4] ^= 1
    # As an editor that keeps the tags of the file.
    tifffile.imwrite(path, mask, software=software)
    assert refused(path)


def test_labels_that_a_person_saves_are_protected(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    write_labels(path, labels("uint8", (24, 32)))
    assert refused(path)
    tifffile.imwrite(path, labels("uint8", (24, 32)))
    assert refused(path)


def test_what_cannot_be_read_or_is_a_link_is_protected(tmp_path: Path) -> None:
    path, link = tmp_path / "mask.tif", tmp_path / "link.tif"
    write_labels(path, labels("uint8", (24, 32)), replaceable=True)
    link.symlink_to(path)
    assert refused(link)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert refused(path)
