"""Files are read whole or refused: planes, pages, positions and absurd sizes."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.errors import DataError
from unet_engine.images import open_image, read_labels

if TYPE_CHECKING:
    from pathlib import Path

STACK = np.random.default_rng(7).integers(1, 4000, (6, 30, 41)).astype(np.uint16)
PLAIN = {"metadata": None, "software": "", "photometric": "minisblack"}


def write_pages(path: Path, pages, description: str | None = None) -> Path:
    """Write pages one by one, the first with a description."""
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(pages):
            writer.write(
                page,
                description=None if number else description,
                contiguous=False,
                **PLAIN,
            )
    return path


def ome(planes: int, attributes: str = "", data: str = "<TiffData/>") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.'
        f'org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYCZT" Type="uint16" SizeX="41" SizeY="30" SizeZ="{planes}" '
        f'SizeC="1" SizeT="1"{attributes}>{data}</Pixels></Image></OME>'
    )


DESCRIPTIONS = {
    "ome": ome(9),
    "imagej": "ImageJ=1.53t\nimages=9\nslices=9\nloop=false\n",
    "imagej channels": "ImageJ=1.53t\nimages=8\nchannels=2\nslices=4\n",
    "shaped": '{"shape": [9, 30, 41], "axes": "ZYX"}',
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_fewer_planes_than_promised_are_refused(tmp_path: Path, kind: str):
    path = write_pages(tmp_path / "cut.tif", STACK, DESCRIPTIONS[kind])
    with pytest.raises(DataError, match=r"cut\.tif .*6 of the [89] planes|cut\.tif"):
        open_image(path)
    with pytest.raises(DataError, match=r"cut\.tif"):
        read_labels(path)


def test_as_many_planes_as_promised_are_read(tmp_path: Path):
    texts = {
        "ome": ome(6),
        "imagej": "ImageJ=1.53t\nimages=6\nslices=6\nloop=false\n",
        "shaped": '{"shape": [6, 30, 41], "axes": "ZYX"}',
    }
    for name, text in texts.items():
        image = open_image(write_pages(tmp_path / f"{name}.tif", STACK, text))
        found = np.stack([image.read(i)[0] for i in image.indices()])
        assert np.array_equal(found, STACK), name


def test_missing_planes_of_an_ome_tiff_are_zero_when_that_is_requested(tmp_path: Path):
    path = write_pages(tmp_path / "cut.ome.tif", STACK, ome(9))
    with pytest.raises(DataError, match="--missing-chunks fill"):
        open_image(path)
    image = open_image(path, missing_chunks="fill")
    assert image.leading_shape == (9,)
    assert np.array_equal(image.read((5,))[0], STACK[5])
    assert not image.read((6,)).any()


def test_more_pages_than_described_are_refused(tmp_path: Path):
    path = write_pages(tmp_path / "more.tif", STACK, ome(4))
    with pytest.raises(DataError, match="holds 6 pages and its metadata describe 4"):
        open_image(path)


def one_block(planes: int, missing: int = 0) -> bytes:
    """Return an ImageJ stack above 4 GB in small: one page and all planes behind it."""
    text = f"ImageJ=1.53t\nimages={planes}\nslices={planes}\nloop=false\n\0".encode()
    text += b"\0" * (len(text) % 2)
    start = 8 + 2 + 9 * 12 + 4
    height, width = STACK.shape[1:]
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (270, 2, len(text), start),
        (273, 4, 1, start + len(text)),
        (277, 3, 1, 1),
        (279, 4, 1, 2 * height * width),
    ]
    content = b"MM\0*" + struct.pack(">IH", 8, len(tags))
    for code, kind, count, value in tags:
        content += struct.pack(">HHI", code, kind, count)
        content += (
            struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        )
    content += struct.pack(">I", 0) + text + STACK[:planes].astype(">u2").tobytes()
    return content[: len(content) - missing]


def test_planes_behind_one_page_are_all_read_or_refused(tmp_path: Path):
    path = tmp_path / "block.tif"
    path.write_bytes(one_block(6))
    image = open_image(path)
    assert image.leading_axes == "Z"
    assert np.array_equal(image.read((5,))[0], STACK[5])
    for missing in (2, 2000, 4 * STACK[0].nbytes):
        path.write_bytes(one_block(6, missing))
        with pytest.raises(DataError, match=r"block\.tif is (incomplete|truncated)"):
            open_image(path)


def test_pages_that_differ_are_named_and_chosen(tmp_path: Path):
    others = {
        "size": STACK[0, :20],
        "type": STACK[0].astype(np.float32),
    }
    for name, other in others.items():
        pages = [STACK[0], STACK[1], other, STACK[2]]
        path = write_pages(tmp_path / f"{name}.tif", pages)
        with pytest.raises(DataError, match=r"holds 2 different images .*--series 0"):
            open_image(path)
        assert np.array_equal(open_image(path, series=1).read()[0], other)
        assert open_image(path, series=0).leading_shape == (3,)
        with pytest.raises(DataError, match="from 0 to 1"):
            open_image(path, series=2)
        with pytest.raises(DataError, match="different images"):
            read_labels(path)


def test_positions_that_are_alike_are_one_axis(tmp_path: Path):
    path = tmp_path / "positions.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for part in (STACK[:3], STACK[3:]):
            writer.write(part, photometric="minisblack", metadata={"axes": "ZYX"})
    image = open_image(path)
    assert (image.axes, image.leading_shape) == ("PZYX", (2, 3))
    assert np.array_equal(image.read((1, 2))[0], STACK[5])
    assert np.array_equal(read_labels(path), STACK.reshape(2, 3, 30, 41))
    assert np.array_equal(open_image(path, series=1).read((2,))[0], STACK[5])


def test_smaller_levels_and_thumbnails_are_no_images(tmp_path: Path):
    path = tmp_path / "levels.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[0], subifds=1, **PLAIN)
        writer.write(STACK[0, ::2, ::2], subfiletype=1, **PLAIN)
        writer.write(STACK[0, ::4, ::4], subfiletype=1, **PLAIN)
    assert np.array_equal(open_image(path).read()[0], STACK[0])


@pytest.mark.parametrize("number", [0, 1])
def test_a_page_of_half_the_edges_is_an_image_of_its_own(tmp_path: Path, number: int):
    path = tmp_path / "pages.tif"
    pages = STACK[0], STACK[1, ::2, ::2]
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, **PLAIN)
    with pytest.raises(DataError, match=r"2 different images .*--series 0"):
        open_image(path)
    found = open_image(path, series=number).read()[0]
    assert np.array_equal(found, pages[number])


def test_a_missing_part_of_a_set_is_named(tmp_path: Path):
    uuids = ["urn:uuid:one", "urn:uuid:two"]
    data = "".join(
        f'<TiffData IFD="0" FirstZ="{3 * n}" PlaneCount="3"><UUID FileName="part{n}.'
        f'ome.tif">{uuid}</UUID></TiffData>'
        for n, uuid in enumerate(uuids)
    )
    for n, uuid in enumerate(uuids):
        text = ome(6, data=data).replace("<OME ", f'<OME UUID="{uuid}" ')
        write_pages(tmp_path / f"part{n}.ome.tif", STACK[3 * n : 3 * n + 3], text)
    image = open_image(tmp_path / "part0.ome.tif")
    assert np.array_equal(image.read((4,))[0], STACK[4])
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(DataError, match=r"part0\.ome\.tif .*incomplete"):
        open_image(tmp_path / "part0.ome.tif")


def test_a_missing_description_of_a_set_is_named(tmp_path: Path):
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.'
        'org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="all.companion.ome" '
        'UUID="urn:uuid:one"/></OME>'
    )
    path = write_pages(tmp_path / "a.ome.tif", STACK, text)
    with pytest.raises(DataError, match=r"a\.ome\.tif is part .*all\.companion\.ome"):
        open_image(path)


def claim(edge: int, rows: int | None = None) -> bytes:
    """Return a TIFF of a hundred bytes that claims edge x edge pixels."""
    data = zlib.compress(bytes(1000))
    codes = {256: edge, 257: edge, 258: 8, 259: 8, 262: 1, 273: 0, 277: 1}
    codes |= {278: rows or edge, 279: len(data)}
    codes[273] = 8 + 2 + 12 * len(codes) + 4
    content = b"II*\0" + struct.pack("<IH", 8, len(codes))
    for code, value in codes.items():
        content += struct.pack("<HHII", code, 4, 1, value)
    return content + struct.pack("<I", 0) + data


@pytest.mark.parametrize("edge", [10**9, 10**6, 20_000])
def test_a_tiff_that_claims_more_than_it_can_hold_is_refused(tmp_path: Path, edge: int):
    path = tmp_path / "claim.tif"
    path.write_bytes(claim(edge))
    with pytest.raises(DataError, match=rf"claim\.tif claims {edge} x {edge} pixels"):
        open_image(path)


def test_a_strip_too_large_to_be_decoded_is_refused(tmp_path: Path, monkeypatch):
    path = tmp_path / "strip.tif"
    tifffile.imwrite(path, STACK[0], compression="zlib", rowsperstrip=30)
    monkeypatch.setattr("unet_engine.images.claims._SEGMENT_BYTES", 2000)
    with pytest.raises(DataError, match=r"strip\.tif is stored in .*tiled TIFF"):
        open_image(path)


def test_metadata_that_claim_millions_of_planes_are_refused(tmp_path: Path):
    path = write_pages(tmp_path / "many.ome.tif", STACK, ome(10**9))
    with pytest.raises(DataError, match=r"many\.ome\.tif promises 1000000000 planes"):
        open_image(path)
