"""Tests of images in zarr and dask: opened lazily, read in chunks, never zeros."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest
import zarr

from unet_engine.errors import DataError
from unet_engine.images import Image, open_image, read_labels
from unet_engine.images.zarr.chunks import ChunkCache, keep_chunks

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(0).integers(1, 1000, (2, 3, 4, 50, 70)).astype(np.uint16)
AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "nanometer"},
    {"name": "x", "type": "space", "unit": "nanometer"},
]


def write_ome_zarr(path: Path, version: str, pixels: np.ndarray = STACK) -> Path:
    """Write two levels of an image of five axes."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    steps = [1.0, 1.0, 2.0, 250.0, 250.0]
    datasets = []
    for level, factor in enumerate((1, 2)):
        part = pixels[..., ::factor, ::factor]
        chunks = (1, 1, 2, 32, 32)
        group.create_array(str(level), data=part, chunks=chunks)
        scale = [*steps[:3], *(s * factor for s in steps[3:])]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        )
    multiscales = [{"version": version, "axes": AXES, "datasets": datasets}]
    if version == "0.2":
        del multiscales[0]["axes"]
    elif version == "0.3":
        multiscales[0]["axes"] = [axis["name"] for axis in AXES]
    attributes = {"multiscales": multiscales}
    group.attrs.update({"ome": attributes} if version == "0.5" else attributes)
    return path


def write_array(path: Path, pixels: np.ndarray, **options: object) -> Path:
    chunks = tuple(min(32, n) for n in pixels.shape)
    array = zarr.create_array(
        path, shape=pixels.shape, dtype=pixels.dtype, chunks=chunks, **options
    )
    array[...] = pixels
    return path


def chunk_files(path: Path) -> list[Path]:
    hidden = (".zarray", ".zattrs", ".zgroup", "zarr.json")
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name not in hidden)


@pytest.mark.parametrize("version", ["0.2", "0.3", "0.4", "0.5"])
def test_an_ome_zarr_is_opened_at_full_resolution(tmp_path, version):
    image = open_image(write_ome_zarr(tmp_path / "a.ome.zarr", version))
    assert (image.axes, image.name) == ("TCZYX", "a.ome.zarr")
    assert (image.leading_shape, image.channels) == ((2, 4), 3)
    region = (slice(20, 50), slice(30, 70))
    found = image.read((1, 3), region)
    assert np.array_equal(found, STACK[1, :, 3, 20:50, 30:70])
    known = version in ("0.4", "0.5")
    assert image.pixel_size_um == (pytest.approx(0.25) if known else None)
    assert image.slice_step_um == (pytest.approx(2.0) if known else None)


@pytest.mark.parametrize("version", [2, 3])
def test_a_bare_array_of_two_axes_is_a_plane(tmp_path, version):
    path = write_array(tmp_path / "plane", STACK[0, 0, 0], zarr_format=version)
    image = open_image(path)
    assert image.axes == "YX"
    assert np.array_equal(image.read()[0], STACK[0, 0, 0])


def test_axes_that_an_array_names_are_taken(tmp_path):
    new = write_array(
        tmp_path / "3.zarr", STACK[0, 0], dimension_names=["time", "y", "x"]
    )
    assert open_image(new).axes == "TYX"
    old = write_array(tmp_path / "2.zarr", STACK[0, 0], zarr_format=2)
    zarr.open_array(old).attrs["_ARRAY_DIMENSIONS"] = ["c", "y", "x"]
    assert open_image(old).axes == "CYX"


def test_axes_that_are_unknown_are_refused(tmp_path):
    path = write_array(tmp_path / "bare.zarr", STACK[0])
    with pytest.raises(DataError, match="--axes"):
        open_image(path)
    assert open_image(path, axes="CZYX").channels == 3
    odd = write_array(
        tmp_path / "odd.zarr", STACK[0, 0], dimension_names=["lambda", "y", "x"]
    )
    with pytest.raises(DataError, match=r"lambda.*--axes"):
        open_image(odd)


def test_the_only_array_of_a_group_is_opened(tmp_path):
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group.create_array("raw", data=STACK[0, 0, 0])
    assert open_image(tmp_path / "g.zarr").axes == "YX"
    group.create_array("other", data=STACK[0, 0, 0])
    with pytest.raises(DataError, match=r"other, raw"):
        open_image(tmp_path / "g.zarr")


def followed(path):
    """Return the image that a refusal recommends."""
    with pytest.raises(DataError) as refused:
        open_image(path)
    found = re.search(r"such as (\S+)$", str(refused.value))
    return open_image(found[1])


def test_of_several_images_one_that_is_there_is_recommended(tmp_path):
    root = tmp_path / "series.zarr"
    group = zarr.open_group(root, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(root / "0", "0.4")
    assert open_image(root).axes == "TCZYX"
    write_ome_zarr(root / "1", "0.4")
    assert followed(root).axes == "TCZYX"

    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "C/07"}]}
    with pytest.raises(DataError, match="none of them is there"):
        open_image(tmp_path / "plate.zarr")
    well = zarr.open_group(tmp_path / "plate.zarr/C/07", mode="w", zarr_format=2)
    well.attrs["well"] = {"images": [{"path": "field_9"}]}
    write_ome_zarr(tmp_path / "plate.zarr/C/07/field_9", "0.4")
    for path in ("plate.zarr", "plate.zarr/C/07"):
        assert followed(tmp_path / path).axes == "TCZYX"

    labels = zarr.open_group(tmp_path / "plate.zarr/labels", mode="w", zarr_format=2)
    labels.attrs["labels"] = ["nuclei"]
    write_ome_zarr(tmp_path / "plate.zarr/labels/nuclei", "0.4")
    assert open_image(tmp_path / "plate.zarr/labels").axes == "TCZYX"


def test_absurd_shapes_of_a_zarr_are_refused(tmp_path):
    for name, shape, chunks in (
        ("pixels", (10**9, 10**9), (512, 512)),
        ("chunk", (10**6, 10**6), (10**6, 10**6)),
        ("empty", (10**5, 10**5), (512, 512)),
    ):
        path = tmp_path / f"{name}.zarr"
        zarr.create_array(path, shape=shape, chunks=chunks, dtype="u1")
        for missing in ("refuse", "fill") if name != "empty" else ("refuse",):
            with pytest.raises(DataError, match=rf"{name}\.zarr (claims|is stored)"):
                open_image(path, missing_chunks=missing)


NESTED = {"name": "v2", "separator": "/"}
DOTTED = {"name": "default", "separator": "."}


@pytest.mark.parametrize(
    "layout",
    [
        {"zarr_format": 2},
        {"zarr_format": 2, "chunk_key_encoding": NESTED},
        {"zarr_format": 3},
        {"zarr_format": 3, "chunk_key_encoding": DOTTED},
        {"zarr_format": 3, "shards": (32, 32), "chunks": (16, 16)},
    ],
)
def test_chunks_that_labels_lack_are_background(tmp_path, layout):
    ids = np.zeros((96, 96), np.uint16)
    ids[40:50, 70:90] = 300
    path = tmp_path / "ids.zarr"
    given = {"chunks": (32, 32), **layout}
    zarr.create_array(path, shape=ids.shape, dtype="u2", **given)[...] = ids
    with pytest.raises(DataError, match=r"ids\.zarr: the chunk .* is missing; copy"):
        open_image(path).read()
    assert np.array_equal(open_image(path, missing_chunks="fill").read()[0], ids)
    assert np.array_equal(read_labels(path), ids)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_chunks_that_a_group_of_labels_lacks_are_background(tmp_path, version):
    ids = np.zeros((1, 1, 2, 64, 64), np.uint16)
    ids[..., 40:50, 40:50] = 7
    path = write_ome_zarr(tmp_path / "ids.zarr", version, ids)
    with pytest.raises(DataError, match="missing"):
        open_image(path).read((0, 0))
    assert np.array_equal(read_labels(path), ids[:, 0])


def test_a_zarr_without_metadata_is_refused(tmp_path):
    empty = tmp_path / "empty.zarr"
    empty.mkdir()
    with pytest.raises(DataError, match="no zarr metadata"):
        open_image(empty)
    path = write_ome_zarr(tmp_path / "a.zarr", "0.4")
    (path / "0" / ".zarray").unlink()
    with pytest.raises(DataError, match="no metadata for its array '0'"):
        open_image(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"zarr_format": 9}'])
@pytest.mark.parametrize("name", [".zattrs", "0/.zarray", ".zgroup"])
def test_damaged_metadata_are_reported(tmp_path, name, content):
    path = write_ome_zarr(tmp_path / "a.zarr", "0.4")
    (path / name).write_text(content)
    if content in ("{}", '{"zarr_format": 9}') and name == ".zattrs":
        match = "without the metadata of an OME-Zarr image"
    else:
        match = "zarr"
    with pytest.raises(DataError, match=match):
        open_image(path)


def test_a_multiscale_without_what_it_needs_is_reported(tmp_path):
    path = write_ome_zarr(tmp_path / "a.zarr", "0.4")
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": AXES}]}))
    with pytest.raises(DataError, match=r"metadata of .* cannot be read"):
        open_image(path)


@pytest.mark.parametrize("version", [2, 3])
def test_a_missing_chunk_is_named_and_not_zero(tmp_path, version):
    path = write_array(tmp_path / "a.zarr", STACK[0, 0, 0], zarr_format=version)
    chunk_files(path)[-1].unlink()
    image = open_image(path)
    assert image.read((), (slice(0, 32), slice(0, 64))).all()
    with pytest.raises(DataError, match=r"a\.zarr: the chunk .*32:50, 64:70.* missing"):
        image.read()
    filled = open_image(path, missing_chunks="fill").read()[0]
    assert not filled[32:, 64:].any()
    assert np.array_equal(filled[:32], STACK[0, 0, 0, :32])


def test_a_missing_shard_is_named_and_an_empty_chunk_of_one_is_not(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(64, 64),
        dtype="u1",
        chunks=(16, 16),
        shards=(32,) * 2,
    )
    array[:16, :16] = 1
    image = open_image(tmp_path / "a.zarr")
    block = image.read((), (slice(0, 32), slice(0, 32)))[0]
    assert (block[:16, :16] == 1).all()
    assert not block[16:].any()
    with pytest.raises(DataError, match=r"32:64, 32:64"):
        image.read((), (slice(40, 50), slice(40, 50)))


@pytest.mark.parametrize("damage", [b"", b"abc", None])
def test_a_damaged_chunk_is_named(tmp_path, damage):
    path = write_array(tmp_path / "a.zarr", STACK[0, 0, 0])
    broken = chunk_files(path)[-1]
    broken.write_bytes(broken.read_bytes()[:-9] if damage is None else damage)
    image = keep_chunks(open_image(path))
    assert image.read((), (slice(0, 32), slice(0, 64))).all()
    with pytest.raises(DataError, match=r"a\.zarr: pixels \[32:50, 64:70\].*damaged"):
        image.read()


def test_metadata_that_change_are_noticed(tmp_path):
    path = write_ome_zarr(tmp_path / "a.zarr", "0.4")
    image = open_image(path)
    before = image.source.fingerprint()
    image.source.check_unchanged()
    chunk = chunk_files(path / "0")[0]
    chunk.write_bytes(chunk.read_bytes() + b"0")
    image.source.check_unchanged()
    assert image.source.fingerprint() != before, "of all chunks only at the end"
    attributes = path / ".zattrs"
    attributes.write_text(attributes.read_text() + " ")
    with pytest.raises(DataError, match=r"\.zattrs was changed"):
        image.source.check_unchanged()
    shutil.rmtree(path)
    with pytest.raises(DataError, match="is gone"):
        image.source.check_unchanged()


def test_labels_are_read_from_a_zarr(tmp_path):
    labels = (STACK[0, 0, 0] > 500).astype(np.uint8)
    path = write_array(tmp_path / "labels.zarr", labels)
    assert np.array_equal(read_labels(path), labels)


class Counting:
    """An array in chunks that notes what is read of it."""

    def __init__(self, pixels: np.ndarray, chunks: object) -> None:
        self.pixels, self.chunks = pixels, chunks
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.keys: list[tuple] = []

    def __getitem__(self, key: tuple) -> np.ndarray:
        self.keys.append(key)
        return self.pixels[key]


@pytest.mark.parametrize(
    "chunks", [(2, 16, 33), ((1, 2), (16, 16, 0, 18), (40, 30))], ids=["zarr", "dask"]
)
def test_chunks_are_read_once_and_put_together(chunks):
    pixels = STACK[0, :, 0]
    data = Counting(pixels, chunks)
    cached = ChunkCache(data)
    keys = [
        (1, slice(3, 40), slice(20, 50)),
        (slice(0, 3), slice(0, 50), slice(0, 70)),
        (2, slice(49, 50), slice(69, 70)),
        (slice(1, 2), slice(10, 20), slice(30, 30)),
    ]
    for key in keys:
        assert np.array_equal(cached[key], pixels[key])
    assert len(data.keys) == len(set(map(str, data.keys)))


def test_of_a_chunk_too_large_to_keep_only_a_part_is_read(monkeypatch):
    monkeypatch.setattr("unet_engine.images.zarr.chunks._CACHE_BYTES", 100)
    data = Counting(STACK[0, 0, 0], (50, 70))
    found = ChunkCache(data)[slice(3, 9), slice(60, 66)]
    assert np.array_equal(found, STACK[0, 0, 0, 3:9, 60:66])
    assert data.keys == [(slice(3, 9), slice(60, 66))]


def test_what_a_dask_array_fails_with_is_reported():
    def fail(block: np.ndarray) -> np.ndarray:
        raise KeyError("the graph is broken")

    lazy = da.zeros((8, 8), chunks=4).map_blocks(fail, dtype="f8", meta=np.zeros((0,)))
    image = keep_chunks(Image.from_array(lazy, "YX", name="lazy"))
    with pytest.raises(DataError, match=r"'lazy' cannot be read.*the graph is broken"):
        image.read()
