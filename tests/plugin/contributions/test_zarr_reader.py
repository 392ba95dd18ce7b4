"""OME-Zarr images in napari: lazy, multiscale, where they belong; and predicted so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_unet.contributions import zarr_reader
from unet_engine.images.zarr.chunks import ZarrPixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari
    from conftest import Docked

PIXELS = np.random.default_rng(0).integers(0, 255, (2, 3, 256, 256)).astype(np.uint8)


def write(path: Path, pixels: np.ndarray, axes: str, *, levels: int = 3) -> Path:
    """Write an OME-Zarr image of version 0.4."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    datasets = []
    for level in range(levels):
        step = 2**level
        chunks = (1,) * (pixels.ndim - 2) + (64, 64)
        array = group.create_array(
            str(level),
            shape=pixels[..., ::step, ::step].shape,
            chunks=chunks,
            dtype=pixels.dtype,
        )
        array[...] = pixels[..., ::step, ::step]
        scale = [{"z": 2.0, "c": 1.0}.get(axis, 0.5 * step) for axis in axes]
        transform = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": transform})
    named: list[dict[str, Any]] = [
        {"name": "c", "type": "channel"}
        if axis == "c"
        else {"name": axis, "type": "space", "unit": "micrometer"}
        for axis in axes
    ]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": named, "datasets": datasets}
    ]
    return path


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shape of every array and of the region that was read of it, together."""
    read: list[tuple[int, ...]] = []
    real = ZarrPixels.__getitem__

    def get(self: ZarrPixels, key: Any) -> Any:
        block = real(self, key)
        read.append((self.shape[-1], block.size))
        return block

    monkeypatch.setattr(ZarrPixels, "__getitem__", get)
    return read


def test_levels_scale_names_and_nothing_read(tmp_path: Path, counted: list[Any]):
    path = write(tmp_path / "brain.ome.zarr", PIXELS, "czyx")
    reader = zarr_reader.get_reader(str(path))
    assert reader is not None
    ((levels, options, kind),) = reader(str(path))
    assert kind == "image"
    assert all(isinstance(level, da.Array) for level in levels)
    assert [level.shape[-1] for level in levels] == [256, 128, 64]
    assert options["multiscale"]
    assert options["channel_axis"] == 0
    assert options["name"] == ["brain C0", "brain C1"]
    assert options["scale"] == [2.0, 0.5, 0.5]
    assert options["units"] == ["um"] * 3
    assert options["axis_labels"] == ["z", "y", "x"]
    assert not counted
    np.testing.assert_array_equal(levels[1], PIXELS[..., ::2, ::2])


def test_missing_chunks_are_filled(tmp_path: Path):
    path = write(tmp_path / "a.zarr", PIXELS[0, 0], "yx", levels=1)
    next(path.glob("0/0.0")).unlink()
    ((data, options, _),) = zarr_reader.read_images(str(path))
    assert not options["multiscale"]
    assert not np.asarray(data[:64, :64]).any()
    np.testing.assert_array_equal(data[64:], PIXELS[0, 0, 64:])


def test_what_is_no_image_is_left_to_others(tmp_path: Path):
    folder = tmp_path / "plain"
    folder.mkdir()
    damaged = write(tmp_path / "damaged.zarr", PIXELS[0, 0], "yx")
    (damaged / ".zattrs").write_text(json.dumps({"multiscales": [{"datasets": 1}]}))
    nameless = tmp_path / "nameless.zarr"
    zarr.create_array(nameless, shape=(3, 8, 8), dtype="u1")
    for path in (folder, damaged, nameless, tmp_path / "missing.zarr"):
        assert zarr_reader.get_reader(str(path)) is None


@pytest.mark.slow
def test_napari_opens_it_with_this_reader(
    make_napari_viewer: Callable[..., napari.Viewer], tmp_path: Path
):
    path = write(tmp_path / "brain.ome.zarr", PIXELS, "czyx")
    viewer = make_napari_viewer()
    viewer.open(path, plugin="napari-unet-finetune")
    assert [layer.name for layer in viewer.layers] == ["brain C0", "brain C1"]
    assert viewer.layers[0].multiscale
    np.testing.assert_allclose(viewer.layers[0].scale, (2, 0.5, 0.5))


def test_a_prediction_reads_what_it_needs(
    dock: Docked, tmp_path: Path, counted: list[Any]
):
    path = write(tmp_path / "slide.zarr", PIXELS[0], "zyx")
    ((levels, options, _),) = zarr_reader.read_images(str(path))
    layer = dock.viewer.add_image(levels, contrast_limits=(0, 255), **options)
    layer.data_level = 0
    dock.viewer.dims.set_current_step(0, 1)
    form = dock.widget.predict.form
    assert form.axes.value.axes == "ZYX"
    form.settings["tile"].value = 64
    dock.widget.show()
    form.scope.value = "this slice"
    # The brightness is measured on all of it; that is known from here on.
    dock.predict()
    counted.clear()
    dock.predict()
    assert counted
    assert {size for size, _ in counted} == {256}, "no other level"
    assert max(taken for _, taken in counted) <= 64 * 64, "one chunk at a time"
    assert dock.mask.data.shape == (3, 256, 256)
    np.testing.assert_allclose(dock.mask.scale, layer.scale)


def test_labels_inside_an_image_become_layers_of_their_own(tmp_path: Path) -> None:
    image = write(tmp_path / "a.ome.zarr", PIXELS[0], "cyx")
    ids = np.kron(np.arange(16).reshape(4, 4), np.ones((64, 64), int)).astype(np.uint8)
    group = zarr.open_group(image / "labels", mode="w", zarr_format=2)
    group.attrs["labels"] = ["cells", "gone"]
    inside = write(image / "labels/cells", ids, "yx", levels=1)
    zarr.open_group(inside).attrs["image-label"] = {"version": "0.4"}
    reader = zarr_reader.get_reader(str(image))
    assert reader is not None
    picture, labels = reader(str(image))
    assert (picture[2], labels[2]) == ("image", "labels")
    assert labels[1]["name"] == "a cells"
    np.testing.assert_array_equal(labels[0], ids)
    # A damaged one does not keep the image from being opened.
    (inside / ".zattrs").write_text("{")
    assert [layer[2] for layer in reader(str(image))] == ["image"]


@pytest.mark.slow
def test_napari_opens_an_address(make_napari_viewer: Any, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    image = write(tmp_path / "a.ome.zarr", PIXELS[0], "cyx")
    fsspec.filesystem("memory").put(str(image), "/far/a.ome.zarr", recursive=True)
    viewer = make_napari_viewer()
    layers = viewer.open("memory://far/a.ome.zarr", plugin="napari-unet-finetune")
    assert [layer.name for layer in layers] == ["a C0", "a C1", "a C2"]
    assert layers[0].multiscale
    np.testing.assert_array_equal(layers[1].data[0], PIXELS[0][1])
    assert zarr_reader.get_reader("memory://far/b.ome.zarr") is None
