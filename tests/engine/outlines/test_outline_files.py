"""Files of outlines, read back by the tools that they are for."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import roifile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_engine.errors import DataError
from unet_engine.outlines import (
    holds_outlines,
    images_in,
    read_outlines,
    write_outlines,
)

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".zip", ".geojson", ".json")
AXES = {2: "YX", 3: "ZYX", 4: "TZYX"}


@pytest.fixture
def labels() -> Any:
    """Return a disc with a hole, one in two pieces, and two that touch at a corner."""
    made = np.zeros((30, 40), np.uint16)
    y, x = np.mgrid[:30, :40]
    distance = (y - 10) ** 2 + (x - 12) ** 2
    made[(distance < 64) & (distance > 9)] = 7
    made[20:25, 2:6] = made[27:29, 9:12] = 300
    made[15:20, 30:35] = 2
    made[20:22, 35:38] = 3
    return made


@pytest.fixture
def table() -> dict[str, Any]:
    """Return classes and an area, as the measurements have them."""
    return {
        "label": np.array([2, 3, 7, 300]),
        "class": np.array(["cell", "cell", "vessel", "cell"]),
        "area (px)": np.array([25, 6, 172, 26]),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.data())
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_labels_come_back_as_they_were(tmp_path: Path, suffix: str, data: Any) -> None:
    lengths = data.draw(st.sampled_from([(6, 7), (2, 6, 7), (2, 2, 6, 7)]))
    drawn = data.draw(arrays(np.uint8, lengths, elements=st.integers(0, 3)))
    # The last pixel is of an object, so that the smallest image is the whole one.
    drawn[..., -1, -1] = 9
    axes = AXES[drawn.ndim]
    path = tmp_path / f"a{suffix}"
    write_outlines(path, drawn, axes, image_name="a.tif")
    found = read_outlines(path, axes=axes)
    again, known, overlapping = found.labels(drawn.shape, axes)
    np.testing.assert_array_equal(again, drawn)
    assert (known, overlapping, found.notes) == (axes, 0, ())
    np.testing.assert_array_equal(found.labels()[0], drawn)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_objects_give_the_same_bytes(
    tmp_path: Path, labels: Any, table: dict[str, Any], suffix: str
) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        assert write_outlines(path, labels, table=table, image_name="i.tif") == 4
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths
    if suffix == ".zip":
        # Nor does the day matter.
        with zipfile.ZipFile(paths[0]) as archive:
            dates = {entry.date_time for entry in archive.infolist()}
        assert dates == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_classes_come_back(
    tmp_path: Path, labels: Any, table: dict[str, Any], suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    write_outlines(path, labels, table=table, image_name="i.tif")
    found = {one.label: one.class_name for one in read_outlines(path).outlines}
    assert found == {2: "cell", 3: "cell", 7: "vessel", 300: "cell"}


def test_imagej_gets_polygons_composites_and_positions(
    tmp_path: Path, labels: Any, table: dict[str, Any]
) -> None:
    write_outlines(tmp_path / "a.zip", labels, table=table)
    rois = {roi.name: roi for roi in roifile.roiread(tmp_path / "a.zip")}
    assert list(rois) == ["00002", "00003", "00007", "00300"]
    square = rois["00002"]
    assert (square.left, square.top, square.right, square.bottom) == (30, 15, 35, 20)
    assert square.roitype is roifile.ROI_TYPE.POLYGON
    assert square.coordinates().tolist() == [[30, 15], [35, 15], [35, 20], [30, 20]]
    assert [roi.composite for roi in rois.values()] == [False, False, True, True]
    assert [roi.group for roi in rois.values()] == [1, 1, 2, 1]
    assert (square.position, square.z_position, square.t_position) == (0, 0, 0)

    stack = np.stack([labels, np.roll(labels, 1, axis=0)])
    for axes in ("ZYX", "TYX"):
        write_outlines(tmp_path / "s.zip", stack, axes)
        rois = roifile.roiread(tmp_path / "s.zip")
        assert [roi.position for roi in rois] == [1, 1, 1, 1, 2, 2, 2, 2]
        letter = axes[0].lower()
        assert rois[4].name == f"00002-{letter}0001"
        places = {getattr(one, letter) for one in _read(tmp_path / "s.zip", axes)}
        assert places == {0, 1}
    write_outlines(tmp_path / "s.zip", stack[None], "TZYX")
    rois = roifile.roiread(tmp_path / "s.zip")
    assert [(r.z_position, r.t_position) for r in rois[3:5]] == [(1, 1), (2, 1)]


def _read(path: Path, axes: str) -> Any:
    return read_outlines(path, axes=axes).outlines


def test_regions_that_were_drawn_in_imagej_are_read(tmp_path: Path) -> None:
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL)
    oval.left, oval.top, oval.right, oval.bottom = 2, 3, 22, 13
    rectangle = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT)
    rectangle.left, rectangle.top, rectangle.right, rectangle.bottom = 30, 1, 34, 4
    points = np.array([[1, 20], [5.5, 20], [5.5, 24], [1, 24.2]], np.float32)
    freehand = roifile.ImagejRoi.frompoints(points, name="freehand")
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE)
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        regions = {"a": oval, "0003": rectangle, "b": freehand, "line": line}
        for name, roi in regions.items():
            archive.writestr(f"{name}.roi", roi.tobytes())
        archive.writestr("Table.csv", "not a region")
    found = read_outlines(tmp_path / "r.zip")
    assert found.notes == ("1 regions that are no areas were left out",)
    labels, _, _ = found.labels((30, 40), "YX")
    # A number in a name counts, the others follow.
    assert np.unique(labels).tolist() == [0, 3, 4, 5]
    assert (labels[1:4, 30:34] == 3).all()
    assert (labels == 3).sum() == 12
    assert (labels == 4).sum() == pytest.approx(np.pi * 5 * 10, rel=0.05)
    assert (labels == 5).sum() == 4 * 4

    (tmp_path / "one.roi").write_bytes(rectangle.tobytes())
    assert (read_outlines(tmp_path / "one.roi").labels()[0] == 1).sum() == 12


def test_imagej_counts_no_farther_than_16_bits(tmp_path: Path) -> None:
    labels = np.zeros((3, 60600), np.uint8)
    labels[1, 60530:60535] = 1
    write_outlines(tmp_path / "far.zip", labels)
    again, _, _ = read_outlines(tmp_path / "far.zip").labels(labels.shape, "YX")
    np.testing.assert_array_equal(again, labels)
    labels[1, 60535:60600] = 1
    with pytest.raises(DataError, match=r"pixel 60600, .*write a \.geojson"):
        write_outlines(tmp_path / "far.zip", labels)
    np.testing.assert_array_equal(
        read_outlines(tmp_path / "far.zip").labels(labels.shape, "YX")[0], again
    )
    write_outlines(tmp_path / "far.geojson", labels)


def test_qupath_gets_features_as_it_writes_them(
    tmp_path: Path, labels: Any, table: dict[str, Any]
) -> None:
    shapely = pytest.importorskip("shapely")
    path = tmp_path / "a.geojson"
    stack = np.stack([labels, labels * 0, labels])
    write_outlines(path, stack, "ZYX", table=table | {"z": np.array([2, 2, 2, 2])})
    content = json.loads(path.read_text("utf-8"))
    assert content["type"] == "FeatureCollection"
    features = content["features"]
    assert len(features) == 8
    first, last = features[0], features[-2]
    assert "plane" not in first["geometry"]
    assert "classification" not in first["properties"]
    assert last["geometry"]["plane"] == {"c": -1, "z": 2, "t": 0}
    assert last["properties"]["objectType"] == "detection"
    assert last["properties"]["name"] == "7"
    assert last["properties"]["measurements"] == {"area (px)": 172}
    classification = last["properties"]["classification"]
    assert classification["name"] == "vessel"
    assert all(0 <= part <= 255 for part in classification["color"])
    shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in features]
    assert all(shape.is_valid for shape in shapes)
    assert [shape.geom_type for shape in shapes[:4]] == ["Polygon"] * 3 + [
        "MultiPolygon"
    ]
    assert [shape.area for shape in shapes[:4]] == [25, 6, (labels == 7).sum(), 26]


def test_objects_that_were_drawn_in_qupath_are_read(tmp_path: Path) -> None:
    square = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]]
    hole = [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]
    features = [
        {
            "type": "Feature",
            "id": "PathAnnotationObject",
            "geometry": {"type": "Polygon", "coordinates": [square, hole]},
            "properties": {
                "classification": {"name": "Tumour", "colorRGB": -3670016},
                "measurements": [{"name": "Area", "value": 15.0}],
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [3, 3]},
            "properties": {},
        },
        {"type": "Feature", "geometry": None, "properties": {}},
        {
            "type": "Feature",
            "geometry": {
                "type": "GeometryCollection",
                "geometries": [{"type": "Polygon", "coordinates": [square]}],
                "plane": {"c": -1, "z": 1, "t": 0},
            },
            "properties": {"classification": {"names": ["Tumour", "Positive"]}},
        },
    ]
    for content in (features, {"type": "FeatureCollection", "features": features}):
        for name in ("q.json", "q.geojson"):
            (tmp_path / name).write_text(json.dumps(content))
            found = read_outlines(tmp_path / name)
            assert [one.class_name for one in found.outlines] == [
                "Tumour",
                "Tumour: Positive",
            ]
            assert found.outlines[0].measurements == {"Area": 15.0}
            assert found.notes == ("1 objects that are no areas were left out",)
            labels, axes, _ = found.labels()
            assert (labels.shape, axes) == ((2, 4, 4), "ZYX")
            assert [(labels == n).sum() for n in (1, 2)] == [15, 16]


# pycocotools 2.0 with NumPy 2
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_is_read_by_its_own_tools(
    tmp_path: Path, labels: Any, table: dict[str, Any], capsys: Any
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    path = tmp_path / "a.json"
    write_outlines(path, labels, table=table, image_name="a.tif")
    read = coco.COCO(str(path))
    (image,) = read.loadImgs(read.getImgIds())
    assert (image["file_name"], image["height"], image["width"]) == ("a.tif", 30, 40)
    names = {c["id"]: c["name"] for c in read.loadCats(read.getCatIds())}
    annotations = read.loadAnns(read.getAnnIds(iscrowd=False))
    assert [names[a["category_id"]] for a in annotations] == [
        "cell",
        "cell",
        "vessel",
        "cell",
    ]
    for one in annotations:
        mask = labels == one["object_id"]
        np.testing.assert_array_equal(read.annToMask(one), mask)
        assert one["area"] == mask.sum()
        rows, columns = np.nonzero(mask)
        corner = [columns.min(), rows.min()]
        assert one["bbox"] == [*corner, np.ptp(columns) + 1, np.ptp(rows) + 1]


@given(arrays(np.bool_, (9, 11)))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_compressed_runs_of_coco_are_read(tmp_path: Path, mask: Any) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    mask[0, 0] = True
    runs = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    content = _coco({"size": runs["size"], "counts": runs["counts"].decode()})
    (tmp_path / "c.json").write_text(json.dumps(content))
    labels, _, _ = read_outlines(tmp_path / "c.json").labels()
    np.testing.assert_array_equal(labels == 5, mask)


def _coco(segmentation: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 3, "file_name": "x.png", "height": 9, "width": 11}],
        "annotations": [
            {
                "id": 5,
                "image_id": 3,
                "category_id": 1,
                "segmentation": segmentation,
                "iscrowd": 0,
            }
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }


def test_of_several_images_of_coco_one_is_named(tmp_path: Path) -> None:
    content = _coco([[0, 0, 3, 0, 3, 3, 0, 3]])
    other = {"id": 4, "file_name": "y.png", "height": 9, "width": 11}
    content["images"].append(other)
    path = tmp_path / "two.json"
    path.write_text(json.dumps(content))
    assert images_in(path) == ["x.png", "y.png"]
    with pytest.raises(DataError, match=r"2 images \(x\.png, y\.png\).*name one"):
        read_outlines(path)
    assert len(read_outlines(path, image="x.png").outlines) == 1
    assert read_outlines(path, image="y.png").labels()[0].shape == (9, 11)
    with pytest.raises(DataError, match=r"z\.png is not among them"):
        read_outlines(path, image="z.png")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1, 2]"),
        ("a.json", b'{"type": "Topology"}'),
        ("a.json", b'{"annotations": [], "images": 3}'),
        ("a.json", json.dumps(_coco({"size": [9, 11], "counts": [4]})).encode()),
        ("a.json", json.dumps(_coco({"size": [9, 11], "counts": "\u20ac"})).encode()),
        ("a.json", b"[" * 100_000),
        ("a.geojson", b"\xff\xfe"),
        ("a.geojson", b'{"type": "Feature", "geometry": {"type": "Polygon"}}'),
        ("a.roi", b"Iout"),
        ("a.roi", b"II*\0" + bytes(100)),
        ("a.zip", b"PK"),
    ],
)
def test_what_is_no_file_of_outlines_is_refused_in_a_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="a\\.") as refusal:
        read_outlines(tmp_path / name)
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match="cannot be opened"):
        read_outlines(tmp_path / "missing.zip")


@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damage_is_refused_in_a_line_or_leads_to_objects(
    tmp_path: Path, labels: Any, data: Any
) -> None:
    path = tmp_path / f"a{data.draw(st.sampled_from(SUFFIXES))}"
    write_outlines(path, labels)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255)
        )
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read_outlines(path).labels(labels.shape, "YX")
    except DataError as refusal:
        assert "\n" not in str(refusal)


def test_files_are_known_by_a_look(tmp_path: Path, labels: Any) -> None:
    for suffix in SUFFIXES:
        write_outlines(tmp_path / f"a{suffix}", labels)
        assert holds_outlines(tmp_path / f"a{suffix}")
    (tmp_path / "b.json").write_text('{"name": "settings"}')
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.tif", b"")
    (tmp_path / "c.zip").write_bytes(b"PK")
    for name in ("b.json", "b.zip", "c.zip", "missing.geojson", "a.tif"):
        assert not holds_outlines(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_objects_are_no_error(tmp_path: Path, suffix: str) -> None:
    labels = np.zeros((5, 6), np.uint8)
    path = tmp_path / f"a{suffix}"
    assert write_outlines(path, labels, image_name="a.tif") == 0
    again, _, _ = read_outlines(path).labels(labels.shape, "YX")
    np.testing.assert_array_equal(again, labels)


def test_regions_without_an_inside_only_are_refused(tmp_path: Path) -> None:
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE)
    (tmp_path / "a.roi").write_bytes(line.tobytes())
    with pytest.raises(DataError, match=r"no areas \(1 regions.*export polygons"):
        read_outlines(tmp_path / "a.roi")


def test_a_wrong_suffix_is_refused_and_nothing_is_written(
    tmp_path: Path, labels: Any
) -> None:
    with pytest.raises(DataError, match=r"\.zip \(ImageJ\), \.geojson \(QuPath\)"):
        write_outlines(tmp_path / "a.xml", labels)
    with pytest.raises(DataError, match="not of CYX"):
        write_outlines(tmp_path / "a.zip", labels[None], "CYX")
    assert list(tmp_path.iterdir()) == []
