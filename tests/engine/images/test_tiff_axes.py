"""Tests of TIFFs that do not state what their planes are: refused, not assumed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.errors import DataError
from unet_engine.images import open_image, read_labels
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STACK = np.random.default_rng(0).integers(0, 2, (3, 40, 50)).astype(np.uint8)


def write_without_axes(path: Path, planes: np.ndarray) -> Path:
    """Write planes without a word about them, as most scripts do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tifffile.imwrite(path, planes)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planes", [3, 4])
def test_planes_that_may_be_colours_are_refused(
    tmp_path: Path, planes: int, dtype: type
):
    pixels = np.resize(STACK, (planes, 40, 50)).astype(dtype)
    path = write_without_axes(tmp_path / "a.tif", pixels)
    with pytest.raises(DataError, match="--axes: ZYX, CYX or SYX"):
        open_image(path)
    stack = open_image(path, axes="ZYX")
    assert (stack.leading_shape, stack.channels, stack.rgb) == ((planes,), 1, False)
    np.testing.assert_array_equal(stack.read((1,))[0], pixels[1])
    assert open_image(path, axes="CYX").channels == planes
    colours = open_image(path, axes="SYX")
    assert (colours.channels, colours.rgb) == (3, True)
    np.testing.assert_array_equal(colours.read(), pixels[:3])


def test_a_series_of_such_planes_is_refused(tmp_path: Path):
    path = write_without_axes(tmp_path / "a.tif", np.stack([STACK] * 5))
    with pytest.raises(DataError, match="--axes: TZYX, TCYX or TSYX"):
        open_image(path)
    assert open_image(path, axes="TZYX").leading_shape == (5, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_another_program_marks_as_colours_are_colours(tmp_path: Path, dtype: type):
    path = tmp_path / "a.tif"
    options = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(path, STACK.astype(dtype), software="another", **options)
    assert open_image(path).rgb
    tifffile.imwrite(path, STACK.astype(dtype), ome=True, **options)
    assert open_image(path).rgb


def test_colours_that_lie_side_by_side_are_colours(tmp_path: Path):
    path = write_without_axes(tmp_path / "a.tif", np.moveaxis(STACK, 0, -1))
    assert open_image(path).rgb


def test_named_axes_are_taken(tmp_path: Path):
    for axes in ("ZYX", "CYX"):
        tifffile.imwrite(
            tmp_path / "a.tif", STACK, photometric="rgb", metadata={"axes": axes}
        )
        assert open_image(tmp_path / "a.tif").axes == axes


def test_labels_have_no_colours_and_are_a_stack(tmp_path: Path):
    path = write_without_axes(tmp_path / "a.tif", STACK)
    np.testing.assert_array_equal(read_labels(path), STACK)


def test_the_command_line_refuses_and_takes_the_option(
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    make_checkpoint: Callable,
):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    ModelStore().save("tiny", make_checkpoint())
    source, out = write_without_axes(tmp_path / "a.tif", STACK), tmp_path / "m.tif"
    command = ["predict", str(source), str(out), "--model=tiny", "--device=cpu"]
    assert main(command) == 1
    assert "slices, channels or colours; state it with --axes" in capfd.readouterr().err
    assert not out.exists()
    assert main([*command, "--axes=ZYX"]) == 0
    assert read_labels(out).shape == STACK.shape
