"""Strokes after a power cut, lost sectors of a disk and files that were cut off."""

import random
import shutil

import numpy as np
import pytest
from recorded_disk import Recorder
from stroke_kill_points import (
    ACTS,
    SHAPE,
    act,
    clock,
    expected_states,
    names_at,
    reopens_after,
    state,
)

from unet_engine.annotations import annotations, stroke_log, syncing
from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.recovery import newest_file

BETWEEN_SYNCS = 7
SECTOR_BYTES = 512
PLANES = 40


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """Record all acts, with many generations, and a sync every few acts."""
    monkeypatch.setattr(stroke_log, "GROWN_BYTES", 9000)
    # Closing syncs, and no thread meanwhile.
    monkeypatch.setattr(syncing, "SYNC_S", 600)
    monkeypatch.setattr(annotations, "time", clock)
    folder = tmp_path / "painted"
    with monkeypatch.context() as patched:
        recorder = Recorder(folder, patched)
        notes = Annotations.open(folder, SHAPE)
        for number in range(ACTS):
            notes.name_classes(names_at(number), {})
            act(notes, number)
            recorder.mark()
            if reopens_after(number):
                notes.close()
                notes = Annotations.open(folder, SHAPE)
        notes.close()
    return recorder


def test_a_recording_played_to_its_end_is_the_folder(recorder):
    *_, (disk, made, synced) = recorder.moments()
    assert made == synced == ACTS
    found = {p: p.read_bytes() for p in recorder.folder.glob("*.strokes")}
    assert {path: file.content() for path, file in disk.files.items()} == found
    assert int(newest_file(recorder.folder).stem) > 1, "generations were begun"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_power_cut_costs_no_stroke_that_was_synced(recorder, seed, tmp_path):
    states, rng = expected_states(), random.Random(seed)
    most, folder = 0, tmp_path / "after"
    for disk, made, synced in recorder.moments():
        # Nothing that was not synced has survived, or some beginning of it.
        left = disk.after_power_cut(lambda n: 0 if seed is None else rng.randint(0, n))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path, data in left.items():
            (folder / path.name).write_bytes(data)
        notes = Annotations.open(folder, SHAPE)
        assert state(notes) in states[synced : made + 2], (synced, made)
        assert (notes.save_error, notes.recovery.lost) == ("", 0)
        notes.close()
        most = max(most, made - synced)
    assert 0 < most <= BETWEEN_SYNCS + 1


@pytest.fixture
def planes(tmp_path):
    """Paint one stroke on each plane; return the folder and the planes."""
    folder = tmp_path / "strokes"
    notes = Annotations.open(folder, (PLANES, 300, 300))
    for z in range(PLANES):
        region = (slice(0, 20), slice(z, z + 20))
        notes.accept((z,), region, np.full((20, 20), 1 + z % 3, np.uint8))
    notes.close()
    return folder, [notes.target((z,)) for z in range(PLANES)]


def lost_planes(folder, planes):
    """Return the planes that have lost their stroke."""
    notes = Annotations.open(folder, (PLANES, 300, 300))
    lost = [
        z for z in range(PLANES) if not np.array_equal(notes.target((z,)), planes[z])
    ]
    assert all(not notes.touched((z,)).any() for z in lost), "nothing wrong is shown"
    notes.close()
    return lost


def test_a_lost_sector_costs_the_strokes_that_lay_in_it(planes):
    folder, expected = planes
    path = newest_file(folder)
    data = path.read_bytes()
    stroke_bytes = len(data) / PLANES
    for start in range(0, len(data), SECTOR_BYTES // 2):
        lost = len(data[start : start + SECTOR_BYTES])
        path.write_bytes(data[:start] + bytes(lost) + data[start + lost :])
        found = lost_planes(folder, expected)
        assert len(found) <= lost / stroke_bytes + 2, start
        assert found == list(range(found[0], found[-1] + 1)) if found else True


def test_a_file_that_was_cut_off_keeps_the_strokes_before(planes):
    folder, expected = planes
    path = newest_file(folder)
    data = path.read_bytes()
    kept = PLANES
    for end in range(len(data), 0, -97):
        path.write_bytes(data[:end])
        lost = lost_planes(folder, expected)
        assert lost == list(range(PLANES - len(lost), PLANES)), "the last ones"
        assert kept - 2 <= PLANES - len(lost) <= kept
        kept = PLANES - len(lost)
    assert kept == 0
