"""Labels layers as files of other programs, written and opened by napari itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers import Labels

from napari_unet.contributions import labels_writer, outlines_reader, zarr_reader
from unet_engine.errors import DataError
from unet_engine.images import open_image
from unet_engine.outlines import read_outlines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari

PLUGIN = "napari-unet-finetune"
OUTLINES = ("cells.zip", "cells.geojson", "cells.json")


@pytest.fixture
def stack() -> Any:
    """Return a disc with a hole and a square in two slices."""
    labels = np.zeros((2, 30, 40), np.uint16)
    y, x = np.mgrid[:30, :40]
    distance = (y - 10) ** 2 + (x - 12) ** 2
    labels[:, (distance < 64) & (distance > 9)] = 7
    labels[1, 20:25, 30:35] = 300
    return labels


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTLINES)
def test_labels_are_saved_and_opened_on_their_image(
    make_napari_viewer: Callable[..., napari.Viewer],
    tmp_path: Path,
    stack: Any,
    name: str,
) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((9, 9)), name="small")
    viewer.add_image(
        np.zeros((2, 32, 44)), name="cells", scale=(2, 0.5, 0.5), translate=(0, 3, 4)
    )
    viewer.add_image(np.zeros((5, 5)), name="above")
    features = {"index": [7, 300], "class": ["ring", "square"], "area": [1.5, 25.0]}
    layer = Labels(stack, name="cells", features=features)
    path = tmp_path / name
    assert layer.save(str(path), plugin=PLUGIN) == [str(path)]
    (opened,) = viewer.open(path, plugin=PLUGIN)
    assert isinstance(opened, Labels)
    assert opened.data.shape == (2, 32, 44)
    np.testing.assert_array_equal(opened.data[:, :30, :40], stack)
    np.testing.assert_allclose(opened.scale, (2, 0.5, 0.5))
    np.testing.assert_allclose(opened.translate, (0, 3, 4))
    assert dict(
        zip(opened.features["index"], opened.features["class"], strict=True)
    ) == {7: "ring", 300: "square"}
    if name.endswith("geojson"):
        assert opened.features["area"].tolist() == [1.5, 25.0]


@pytest.mark.parametrize("name", OUTLINES)
def test_without_an_image_labels_are_as_large_as_needed(
    tmp_path: Path, stack: Any, name: str
) -> None:
    path = tmp_path / name
    labels_writer.write_labels_layer(str(path), stack[1], {"name": "cells"})
    reader = outlines_reader.get_reader(str(path))
    assert reader is not None
    ((data, options, kind),) = reader(str(path))
    assert (kind, options["name"]) == ("labels", "cells")
    np.testing.assert_array_equal(data, stack[1, : data.shape[0], : data.shape[1]])
    assert not stack[1, data.shape[0] :].any()


def test_label_images_keep_ids_axes_and_scale(tmp_path: Path, stack: Any) -> None:
    layer = Labels(
        stack, name="cells", scale=(2, 0.5, 0.5), units=("um",) * 3, axis_labels="tyx"
    )
    for name in ("a.ome.tif", "a.tif", "a.ome.zarr"):
        path = tmp_path / name
        layer.save(str(path), plugin=PLUGIN)
        image = open_image(path, labels=True)
        assert image.axes == "TYX"
        assert image.pixel_size.lengths("YX") == (0.5, 0.5)
        np.testing.assert_array_equal(image.read((1,))[0], stack[1])
    ((data, options, kind),) = zarr_reader.read_images(str(tmp_path / "a.ome.zarr"))
    assert kind == "labels"
    np.testing.assert_array_equal(data, stack)
    assert options["axis_labels"] == ["t", "y", "x"]

    Labels(stack[0]).save(str(tmp_path / "a.png"), plugin=PLUGIN)
    assert read_png(tmp_path / "a.png").tolist() == stack[0].tolist()


def read_png(path: Path) -> Any:
    import imageio.v3 as iio

    return iio.imread(path)


def test_a_mask_with_a_stretched_channel_axis_is_saved_without_it(
    tmp_path: Path, stack: Any
) -> None:
    layer = Labels(stack[:, None], axis_labels="zcyx")
    layer.save(str(tmp_path / "a.tif"), plugin=PLUGIN)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), stack)
    layer = Labels(np.stack([stack, stack], axis=1), axis_labels="zcyx")
    with pytest.raises(DataError, match="each of 2 channels"):
        layer.save(str(tmp_path / "b.tif"), plugin=PLUGIN)


@pytest.mark.parametrize("name", ["a.zip", "a.ome.zarr", "a.tif"])
def test_negative_labels_are_refused(tmp_path: Path, stack: Any, name: str) -> None:
    labels = stack.astype(np.int32)
    labels[0, 0, 0] = -1
    with pytest.raises(DataError, match="-1"):
        labels_writer.write_labels_layer(str(tmp_path / name), labels, {"name": "a"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_each_image_of_coco_becomes_a_layer(
    make_napari_viewer: Callable[..., napari.Viewer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    square = {"segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]], "category_id": 1}
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "height": 9, "width": 9}
            for n in range(30)
        ],
        "annotations": [
            {"id": n + 1, "image_id": n, "iscrowd": 0} | square for n in range(30)
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }
    path = tmp_path / "many.json"
    path.write_text(json.dumps(content))
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((9, 9)), name="25")
    (layer,) = viewer.open(path, plugin=PLUGIN)
    assert (layer.name, int(layer.data.max())) == ("25 [1]", 26)
    viewer.layers.clear()
    warned: list[str] = []
    monkeypatch.setattr(outlines_reader, "show_warning", warned.append)
    assert len(viewer.open(path, plugin=PLUGIN)) == 20
    assert "first 20" in warned[0]


def test_other_files_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.zip").write_bytes(b"PK")
    for name in ("a.json", "a.zip", "missing.geojson"):
        assert outlines_reader.get_reader(str(tmp_path / name)) is None


def test_outlines_of_one_class_state_no_others(tmp_path: Path, stack: Any) -> None:
    labels_writer.write_labels_layer(tmp_path / "a.geojson", stack, {"name": "a"})
    (first, *_) = read_outlines(tmp_path / "a.geojson").outlines
    assert (first.class_name, dict(first.measurements)) == ("", {})
