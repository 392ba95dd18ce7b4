"""Tracks of objects: linked by overlap, written for other programs, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_engine.cli import main
from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image, PixelSize, open_image, write_labels
from unet_engine.objects import blocks
from unet_engine.tracking import (
    Tracks,
    link_frames,
    read_ctc,
    track_labels,
    write_ctc,
    write_geff,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def movie() -> Any:
    """Return one that moves, one that divides, two that fuse, one that appears."""
    labels = np.zeros((4, 40, 60), np.uint16)
    for frame in range(4):
        labels[frame, 2 + frame : 10 + frame, 3:11] = 40 - frame
    labels[0, 20:28, 5:25], labels[1, 20:28, 5:25] = 7, 8
    labels[2:, 20:28, 5:14] = 3
    labels[2:, 20:28, 16:25] = 4
    labels[:2, 15:25, 35:43] = 20
    labels[:2, 15:25, 45:50] = 21
    labels[2:, 15:25, 35:50] = 1
    labels[3, 32:38, 50:58] = 99
    return labels


def test_objects_move_divide_fuse_and_appear(movie: Any) -> None:
    tracks = link_frames(movie)
    number = {
        (int(f), int(i)): int(t)
        for f, i, t in zip(tracks.frames, tracks.labels, tracks.tracks, strict=True)
    }
    moving = {number[frame, 40 - frame] for frame in range(4)}
    assert len(moving) == 1
    mother, daughters = number[0, 7], {number[2, 3], number[2, 4]}
    assert number[1, 8] == mother
    assert {int(tracks.parents[d]) for d in daughters} == {mother}
    assert number[3, 3] == number[2, 3]
    fused = number[2, 1]
    assert fused not in {number[0, 20], number[0, 21]}
    assert tracks.parents[fused] == number[0, 20], "most of it was that one"
    assert tracks.parents[number[3, 99]] == 0
    table = tracks.table()
    assert table["fused from"][fused - 1] == f"{number[0, 20]} {number[0, 21]}"
    assert sum(map(bool, table["fused from"])) == 1
    assert (tracks.divisions.size, tracks.fusions.size, tracks.count) == (1, 1, 8)
    row = fused - 1
    assert (table["first frame"][row], table["last frame"][row]) == (2, 3)


def test_a_neighbour_that_moves_in_is_no_other_object() -> None:
    labels = np.zeros((2, 10, 40), np.uint8)
    labels[0, 2:8, 0:10], labels[0, 2:8, 10:20] = 1, 2
    labels[1, 2:8, 4:14], labels[1, 2:8, 14:24] = 1, 2
    tracks = link_frames(labels)
    assert tracks.tracks.tolist() == [1, 2, 1, 2]
    assert not tracks.divisions.size
    assert not tracks.fusions.size


def test_how_much_must_overlap_is_chosen() -> None:
    labels = np.zeros((2, 10, 40), np.uint8)
    labels[0, 2:8, 0:10] = labels[1, 2:8, 7:17] = 1
    assert link_frames(labels).count == 1
    assert link_frames(labels, least_overlap=0.31).count == 2
    for wrong in (0, 1.1):
        with pytest.raises(DataError, match=r"use 0\.25"):
            link_frames(labels, least_overlap=wrong)


@given(arrays(np.uint8, (4, 5, 6), elements=st.integers(0, 4)))
@settings(deadline=None)
def test_tracks_are_without_gaps_and_edges_lead_one_frame_on(labels: Any) -> None:
    tracks = link_frames(labels)
    assert tracks.labels.size == sum(len(np.unique(f[f > 0])) for f in labels)
    first, last = tracks.extents
    counts = np.bincount(tracks.tracks, minlength=tracks.count + 1)[1:]
    np.testing.assert_array_equal(counts, last - first + 1)
    for track, parent in enumerate(tracks.parents.tolist()):
        if parent:
            assert last[parent - 1] == first[track - 1] - 1
    a, b = tracks.edges.T
    np.testing.assert_array_equal(tracks.frames[b], tracks.frames[a] + 1)
    for frame, ids in enumerate(labels):
        numbers = track_labels(tracks, frame, ids)
        pairs = {(int(i), int(n)) for i, n in zip(ids.flat, numbers.flat, strict=True)}
        # One track for each object, one object for each track.
        assert len(pairs) == len({i for i, _ in pairs}) == len({n for _, n in pairs})


def test_volumes_and_blocks_change_nothing(
    movie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = link_frames(movie)
    volume = np.repeat(movie[:, None], 3, axis=1)
    deep = link_frames(volume, 3)
    np.testing.assert_array_equal(deep.tracks, whole.tracks)
    np.testing.assert_allclose(deep.centroids[:, 0], 1)
    monkeypatch.setattr(blocks, "_PIXELS", {2: 300, 3: 900})
    for labels, ndim in ((movie, 2), (volume, 3)):
        parts = link_frames(labels, ndim)
        np.testing.assert_array_equal(parts.tracks, whole.tracks)
        np.testing.assert_array_equal(parts.edges, whole.edges)


def test_what_is_no_time_series_is_refused_and_it_stops(movie: Any) -> None:
    with pytest.raises(DataError, match=r"give \(T, Y, X\)"):
        link_frames(movie[0])
    with pytest.raises(DataError, match=r"give \(T, Z, Y, X\)"):
        link_frames(movie, 3)
    with pytest.raises(Cancelled):
        link_frames(movie, stop=lambda: True)


def test_without_objects_there_are_no_tracks(tmp_path: Path) -> None:
    labels = np.zeros((3, 5, 5), np.uint8)
    tracks = link_frames(labels)
    assert (tracks.count, tracks.length) == (0, 3)
    write_ctc(tmp_path / "01_RES", tracks, labels)
    read, table = read_ctc(tmp_path / "01_RES")
    assert read.shape == (3, 5, 5)
    assert table["track"].size == 0


def test_the_folder_of_the_challenge_is_as_it_demands(
    movie: Any, tmp_path: Path
) -> None:
    tracks = link_frames(movie)
    write_ctc(tmp_path / "01_RES", tracks, movie)
    names = sorted(path.name for path in (tmp_path / "01_RES").iterdir())
    assert names == [*(f"mask00{n}.tif" for n in range(4)), "res_track.txt"]
    assert tifffile.imread(tmp_path / "01_RES" / "mask000.tif").dtype == np.uint16
    labels, table = read_ctc(tmp_path / "01_RES")
    for frame, ids in enumerate(movie):
        np.testing.assert_array_equal(labels[frame], track_labels(tracks, frame, ids))
    np.testing.assert_array_equal(table["parent"], tracks.parents[1:])
    for track, first, last in zip(
        table["track"], table["first frame"], table["last frame"], strict=True
    ):
        there = [frame for frame in range(4) if (labels[frame] == track).any()]
        assert there == list(range(first, last + 1))

    write_ctc(tmp_path / "02_RES", tracks, movie)
    for name in names:
        contents = [(tmp_path / f"0{n}_RES" / name).read_bytes() for n in (1, 2)]
        assert contents[0] == contents[1]
    with pytest.raises(DataError, match="exists already"):
        write_ctc(tmp_path / "01_RES", tracks, movie)
    write_ctc(tmp_path / "01_RES", tracks, movie, replace=True)


def test_more_tracks_than_16_bits_number_are_refused(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int64)
    many = Tracks(
        frames=nothing,
        labels=nothing,
        sizes=nothing,
        centroids=np.zeros((0, 2)),
        tracks=nothing,
        edges=np.zeros((0, 2), np.int64),
        parents=np.zeros(65537, np.int64),
        length=1,
    )
    with pytest.raises(DataError, match=r"65536 tracks.*write a \.geff"):
        write_ctc(tmp_path / "01_RES", many, np.zeros((1, 3, 3)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_or_lacks_a_frame_is_refused(
    movie: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"mask000\.tif and res_track\.txt"):
        read_ctc(tmp_path)
    write_ctc(tmp_path / "a", link_frames(movie), movie)
    (tmp_path / "a" / "res_track.txt").write_text("1 0\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_ctc(tmp_path / "a")
    (tmp_path / "a" / "mask001.tif").unlink()
    with pytest.raises(DataError, match="lacks masks"):
        read_ctc(tmp_path / "a")


def test_a_graph_is_read_back_by_its_own_library(movie: Any, tmp_path: Path) -> None:
    geff = pytest.importorskip("geff")
    tracks = link_frames(movie)
    size = PixelSize.stated({"T": (60, "s"), "Y": (0.5, "µm"), "X": (0.25, "µm")})
    write_geff(tmp_path / "a.geff", tracks, size)
    geff.validate_structure(tmp_path / "a.geff")
    graph, metadata = geff.read(tmp_path / "a.geff", backend="networkx")
    axes = [(axis.name, axis.type, axis.unit) for axis in metadata.axes]
    assert axes == [
        ("t", "time", "second"),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    assert graph.number_of_nodes() == tracks.labels.size
    assert sorted(graph.edges) == sorted(map(tuple, tracks.edges.tolist()))
    assert [n for n in graph if graph.out_degree(n) > 1] == tracks.divisions.tolist()
    assert [n for n in graph if graph.in_degree(n) > 1] == tracks.fusions.tolist()
    node = graph.nodes[0]
    y, x = tracks.centroids[0]
    assert (node["t"], node["y"], node["x"]) == (0, y / 2, x / 4)
    assert (node["label"], node["track"]) == (tracks.labels[0], tracks.tracks[0])
    with pytest.raises(DataError, match="exists already"):
        write_geff(tmp_path / "a.geff", tracks)
    write_geff(tmp_path / "a.geff", tracks, replace=True)


def test_a_graph_needs_geff(
    movie: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_engine.tracking.geff.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"\[geff\].*Cell Tracking Challenge"):
        write_geff(tmp_path / "a.geff", link_frames(movie))


@pytest.fixture
def file(movie: Any, tmp_path: Path) -> Path:
    """Return a file of objects in frames of a minute and pixels of half a µm."""
    size = PixelSize.stated({"T": (60, "s"), "Y": (0.5, "µm"), "X": (0.5, "µm")})
    image = Image.from_array(movie, "TYX", pixel_size=size)
    write_labels(tmp_path / "objects.tif", movie, image=image)
    return tmp_path / "objects.tif"


def track(*arguments: object) -> int:
    return main(["track", *map(str, arguments)])


def test_the_command_writes_what_is_requested(
    file: Path, movie: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = tmp_path / "01_RES", tmp_path / "tracks.csv"
    assert track(file, "-o", folder, "--table", table) == 0
    out = capsys.readouterr().out
    assert "8 tracks of 17 objects in 4 frames, 1 divisions, 1 fusions" in out
    labels, _ = read_ctc(folder)
    assert len(table.read_text().splitlines()) == 9
    for name in ("tracked.tif", "tracked.ome.zarr"):
        assert track(file, "--labels", tmp_path / name) == 0
        image = open_image(tmp_path / name, labels=True)
        assert (image.axes, image.pixel_size_um) == ("TYX", 0.5)
        for frame in range(4):
            np.testing.assert_array_equal(image.read((frame,))[0], labels[frame])


def test_the_command_refuses_and_its_advice_works(
    file: Path, movie: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object) -> str:
        assert track(*arguments) == 1
        return capsys.readouterr().err

    folder = tmp_path / "01_RES"
    assert "give -o for a folder" in refused(file)
    assert "is read by this run" in refused(file, "--labels", file)
    stack = tmp_path / "stack.tif"
    planes = Image.from_array(movie, "ZYX")
    write_labels(stack, movie, image=planes)
    assert "give --axes TYX" in refused(stack, "-o", folder)
    assert track(stack, "-o", folder, "--axes", "TYX") == 0
    assert "pass --overwrite" in refused(file, "-o", folder)
    assert track(file, "-o", folder, "--overwrite") == 0
    (folder / "notes.txt").write_text("precious")
    assert "holds notes.txt" in refused(file, "-o", folder, "--overwrite")
    assert (folder / "notes.txt").read_text() == "precious"
    assert "end in .geff" in refused(file, "--geff", tmp_path / "a.zarr")
