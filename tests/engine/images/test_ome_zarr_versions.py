"""OME-Zarr as it is written, 0.4 and 0.5, checked by a program of others."""

import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr

from unet_engine.cli import main
from unet_engine.errors import DataError
from unet_engine.images import Image, open_image
from unet_engine.images.pixel_size import PixelSize
from unet_engine.images.zarr.writing import (
    Multiscale,
    channel_attributes,
    label_attributes,
)
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict

VERSIONS = ("0.4", "0.5")
CLASSES = ("background", "cell", "nucleus")
CONFIG = PredictConfig(tile=64, device="cpu", precision="full")


def written(path, version, axes="TZYX", labels=True, attributes=None):
    """Write an image of two levels; return its description and its pixels."""
    lengths = {"C": 3, "T": 2, "P": 2, "Z": 3, "Y": 1030, "X": 20}
    shape = tuple(lengths[axis] for axis in axes)
    multiscale = Multiscale(
        path=path,
        axes=axes,
        shape=shape,
        chunks=(1,) * (len(axes) - 2) + (512, 20),
        dtype=np.dtype("u1" if labels else "f4"),
        pixel_size=PixelSize.of_micrometres(z=2, y=0.5, x=0.5),
        labels=labels,
        attributes=attributes or {},
        version=version,
    )
    array = multiscale.open(anew=True)
    pixels = np.random.default_rng(0).integers(0, 3, array.shape).astype(array.dtype)
    array[...] = pixels
    assert multiscale.finish(lambda: False, {"by": "test"})
    return pixels


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("axes", ["YX", "ZYX", "TZYX", "TPZYX"])
def test_labels_are_valid_in_their_version(tmp_path, version, axes):
    path = tmp_path / "a.ome.zarr"
    pixels = written(path, version, axes, attributes=label_attributes(CLASSES))
    group = yaozarrs.validate_zarr_store(path)
    metadata = group.ome_metadata()
    assert type(metadata).__module__.split(".")[1] == f"v{version.replace('.', '')}"
    assert metadata.image_label.colors[0].label_value == 1
    (multiscale,) = metadata.multiscales
    assert [dataset.path for dataset in multiscale.datasets] == ["0", "1"]
    scale = multiscale.datasets[1].coordinateTransformations[0].scale
    assert scale[-2:] == [1.0, 1.0]
    assert dict(zarr.open_group(path).attrs)["by"] == "test"
    image = open_image(path)
    assert image.axes == axes
    np.testing.assert_array_equal(image.data[(slice(None),) * len(axes)], pixels)


@pytest.mark.parametrize("version", VERSIONS)
def test_probabilities_are_valid_in_their_version(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    written(
        path, version, "TCZYX", labels=False, attributes=channel_attributes(CLASSES)
    )
    metadata = yaozarrs.validate_zarr_store(path).ome_metadata()
    names = [channel.label for channel in metadata.omero.channels]
    assert names == [f"probability of {name}" for name in CLASSES]
    assert len(metadata.multiscales[0].datasets[1].coordinateTransformations) == 2


def test_the_version_is_stated_once_and_nowhere_else(tmp_path):
    for version in VERSIONS:
        written(tmp_path / version, version, attributes=label_attributes(CLASSES))
    old, new = (dict(zarr.open_group(tmp_path / v).attrs) for v in VERSIONS)
    assert "ome" not in old
    assert old["multiscales"][0]["version"] == old["image-label"]["version"] == "0.4"
    assert new.keys() == {"ome", "by"}
    assert new["ome"]["version"] == "0.5"
    assert "version" not in {
        **new["ome"]["multiscales"][0],
        **new["ome"]["image-label"],
    }
    assert zarr.open_array(tmp_path / "0.5/0").metadata.dimension_names == tuple("tzyx")


@pytest.fixture
def image():
    pixels = np.random.default_rng(1).integers(0, 255, (100, 90)).astype(np.uint8)
    return Image.from_array(pixels, "YX")


def test_a_prediction_is_the_same_in_both_versions(model: Checkpoint, image, tmp_path):
    masks = []
    for version in VERSIONS:
        labels, maps = tmp_path / f"{version}.zarr", tmp_path / f"p{version}.zarr"
        output = DiskOutput(labels, maps, ome_zarr=version)
        predict(image, model, CONFIG, into=output)
        for path in (labels, maps):
            yaozarrs.validate_zarr_store(path)
        masks.append(open_image(labels).read(()))
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("begun", VERSIONS)
def test_a_run_goes_on_in_the_version_in_which_it_was_begun(
    model: Checkpoint, image, tmp_path, begun
):
    path = tmp_path / "a.ome.zarr"
    run = iter_predict(image, model, CONFIG, into=DiskOutput(path, ome_zarr=begun))
    next(run)
    run.close()
    other = VERSIONS[1 - VERSIONS.index(begun)]
    predict(image, model, CONFIG, into=DiskOutput(path, ome_zarr=other, resume=True))
    yaozarrs.validate_zarr_store(path)
    assert (path / "zarr.json").exists() == (begun == "0.5")
    # And it is known as finished.
    finished = DiskOutput(path, ome_zarr=other, resume=True)
    assert predict(image, model, CONFIG, into=finished).complete
    with pytest.raises(DataError, match="choose another name"):
        predict(image, model, CONFIG, into=DiskOutput(path, ome_zarr=other))
    anew = DiskOutput(path, ome_zarr=other, overwrite=True)
    predict(image, model, CONFIG, into=anew)
    assert (path / "zarr.json").exists() == (other == "0.5")


@pytest.mark.parametrize("version", VERSIONS)
def test_commands_write_the_version_that_is_chosen(
    model: Checkpoint, image, tmp_path, version
):
    source, mask, objects = (tmp_path / name for name in ("a.tif", "m.zarr", "o.zarr"))
    tifffile.imwrite(source, np.asarray(image.read(())[0]))
    chosen = ["--ome-zarr", version, "--quiet"]
    how = ["--model=tiny", "--device=cpu", "--tile=64"]
    assert main(["predict", str(source), str(mask), *how, *chosen]) == 0
    assert main(["objects", str(mask), "-o", str(objects), *chosen]) == 0
    for path in (mask, objects):
        yaozarrs.validate_zarr_store(path)
        assert (path / "zarr.json").exists() == (version == "0.5")
