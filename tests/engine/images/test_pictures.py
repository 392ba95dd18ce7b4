"""PNG, JPEG, BMP and GIF keep what they hold; folders name what they pass over."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from unet_engine.errors import DataError
from unet_engine.images import list_images, open_image, pair_folders, read_labels
from unet_engine.images.formats import IMAGE_SUFFIXES, TIFF_READ_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

IDS = np.random.default_rng(2).integers(0, 5000, (31, 44)).astype(np.uint16)
GREY = (IDS // 20).astype(np.uint8)


def png(path: Path, *planes) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.dstack(planes)))
    return path


def test_png_of_16_bits_keeps_them_beside_colour_and_alpha(tmp_path: Path):
    opaque = np.full_like(IDS, 65535)
    for name, planes in {
        "rgb": [IDS, IDS, IDS],
        "rgba": [IDS, IDS, IDS, opaque],
        "grey": [IDS, opaque],
    }.items():
        path = png(tmp_path / f"{name}.png", *planes)
        assert np.array_equal(open_image(path).read()[0], IDS), name
        assert np.array_equal(read_labels(path), IDS), name
    colour = png(tmp_path / "colour.png", IDS, IDS // 2, IDS // 3)
    assert np.array_equal(open_image(colour).read()[2], IDS // 3)
    with pytest.raises(DataError, match="holds colours"):
        read_labels(colour)


def test_a_deep_png_that_is_damaged_or_too_large_is_refused(tmp_path, monkeypatch):
    path = png(tmp_path / "deep.png", IDS, IDS, IDS)
    content = path.read_bytes()
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 500)
    with pytest.raises(DataError, match=r"deep\.png is too large"):
        open_image(path)
    monkeypatch.undo()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"deep\.png cannot be read as a picture"):
        open_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_ids_of_few_bits_are_not_stretched(tmp_path: Path, bits: int):
    import struct
    import zlib

    ids = (IDS % 2**bits).astype(np.uint8)
    packed = np.packbits(
        np.unpackbits(ids[..., None], axis=-1)[..., 8 - bits :].reshape(31, -1), axis=1
    )
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 44, 31, bits, 0, 0, 0, 0)
    path = tmp_path / "few.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert np.array_equal(read_labels(path), ids)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_several_frames_are_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"frames{suffix}"
    frames = [PIL.Image.fromarray(GREY + n) for n in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for read in (open_image, read_labels):
        with pytest.raises(DataError, match=r"frames\.... holds .*multi-page TIFF"):
            read(path)


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path):
    path = tmp_path / "inks.jpg"
    PIL.Image.new("CMYK", (40, 30), (0, 0, 0, 0)).save(path)
    image = open_image(path)
    assert image.rgb
    assert image.read().min() > 250


def test_a_picture_marked_as_turned_is_reported(tmp_path: Path, caplog):
    path = tmp_path / "turned.jpg"
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(GREY).save(path, exif=exif)
    assert open_image(path).plane_shape == GREY.shape
    assert "turned.jpg is marked as turned (EXIF orientation 6)" in caplog.text


@pytest.mark.parametrize("suffix", TIFF_READ_SUFFIXES)
def test_tiff_is_read_by_all_its_names(tmp_path: Path, suffix: str):
    path = tmp_path / f"a.ome{suffix}"
    tifffile.imwrite(path, IDS, metadata=None, software="x", photometric="minisblack")
    assert np.array_equal(open_image(path).read()[0], IDS)
    assert list_images(tmp_path) == [path]
    assert np.array_equal(read_labels(path), IDS)
    (tmp_path / "labels").mkdir()
    PIL.Image.fromarray(GREY).save(tmp_path / "labels/a.png")
    assert pair_folders(tmp_path, tmp_path / "labels")[0][0] == path


@pytest.mark.parametrize("suffix", [".bmp", ".gif"])
def test_other_pictures_are_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    PIL.Image.fromarray(GREY).save(path)
    assert np.array_equal(open_image(path).read()[0], GREY)


def test_images_that_cannot_be_read_are_named(tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setattr("unet_engine.images.formats.find_spec", lambda name: None)
    for name in ("b.czi", "c.nd2", "d.dcm", "notes.txt", ".hidden.czi"):
        (tmp_path / name).write_bytes(b"1")
    with pytest.raises(DataError, match=r"b\.czi, .*c\.nd2.*\[bioio\]"):
        list_images(tmp_path)
    PIL.Image.fromarray(GREY).save(tmp_path / "a.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.png"]
    assert len(caplog.records) == 1
    for name in (
        "b.czi",
        "c.nd2",
        "d.dcm",
        'pip install "napari-unet-finetune[bioio]"',
    ):
        assert name in caplog.text
    assert "notes" not in caplog.text
    assert "hidden" not in caplog.text


def test_a_format_of_a_vendor_needs_bioio(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / "a.czi").write_bytes(b"1")
    with pytest.raises(DataError, match=r"a\.czi needs bioio.*\[bioio\]") as refusal:
        open_image(tmp_path / "a.czi")
    message = str(refusal.value).replace(str(tmp_path), "")
    assert len(message) < 100, "one line of a terminal"
    assert "\n" not in message


class Opened:
    """What bioio returns: two scenes, five axes."""

    scenes = ("one", "two")
    dims = types.SimpleNamespace(order="TCZYX")
    physical_pixel_sizes = types.SimpleNamespace(Z=2.0, Y=0.5, X=0.25)

    def __init__(self, path: Path) -> None:
        if b"broken" in path.read_bytes():
            raise OSError(f"no reader for it: {[str(path)] * 9}")

    def set_scene(self, scene: str) -> None:
        self.dask_data = np.stack([IDS] * 2)[None, :, None] + self.scenes.index(scene)


def test_a_format_of_a_vendor_is_read_by_bioio(tmp_path: Path, monkeypatch):
    module = types.ModuleType("bioio")
    module.BioImage = Opened
    monkeypatch.setitem(sys.modules, "bioio", module)
    path = tmp_path / "a.lif"
    path.write_bytes(b"1")
    with pytest.raises(DataError, match=r"a\.lif holds 2 scenes; .*--series"):
        open_image(path)
    image = open_image(path, series=1)
    assert (image.axes, image.channels) == ("TCZYX", 2)
    assert image.pixel_size.lengths("ZYX") == (2.0, 0.5, 0.25)
    assert np.array_equal(image.read((0, 0))[1], IDS + 1)
    with pytest.raises(DataError, match="no scene 2"):
        open_image(path, series=2)
    path.write_bytes(b"broken")
    with pytest.raises(
        DataError, match=r"a\.lif cannot be read by bioio \(no reader"
    ) as refusal:
        open_image(path)
    assert len(str(refusal.value).replace(str(tmp_path), "")) < 200
    assert str(refusal.value).endswith("bioio-bioformats, or export it as OME-TIFF")


@pytest.mark.parametrize("missing", ["X", "Y", "Z"])
def test_sizes_that_a_vendor_does_not_state_are_not_made_up(
    tmp_path: Path, monkeypatch, missing: str
):
    module = types.ModuleType("bioio")
    sizes = {"Z": 2.0, "Y": 0.5, "X": 0.25, missing: None}
    module.BioImage = type(
        "Other", (Opened,), {"physical_pixel_sizes": types.SimpleNamespace(**sizes)}
    )
    monkeypatch.setitem(sys.modules, "bioio", module)
    (tmp_path / "a.nd2").write_bytes(b"1")
    size = open_image(tmp_path / "a.nd2", series=0).pixel_size
    assert size.lengths(missing) is None
    rest = "ZYX".replace(missing, "")
    assert size.lengths(rest) == tuple(sizes[axis] for axis in rest)


def test_an_ome_zarr_and_its_labels_are_a_pair(tmp_path: Path):
    for name in ("a.zarr", "a.zarr/labels/nuclei"):
        group = zarr.open_group(tmp_path / name, mode="a", zarr_format=2)
        group.create_array("0", shape=IDS.shape, dtype="u2", chunks=(16, 16))[...] = IDS
        axes = [{"name": "y"}, {"name": "x"}]
        group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0"}]}]
    image, labels = tmp_path / "a.zarr", tmp_path / "a.zarr/labels/nuclei"
    assert pair_folders(image, labels) == [(image, labels)]
    assert np.array_equal(read_labels(labels), IDS)


def test_every_suffix_that_is_read_is_named_once():
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
