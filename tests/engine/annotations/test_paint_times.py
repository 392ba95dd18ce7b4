"""When pixels were painted: against a plain dense array, and through files."""

import math
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.annotations import act_history
from unet_engine.annotations import annotations as module
from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.block import EDGE
from unet_engine.annotations.paint_times import PaintTimes
from unet_engine.annotations.records import Kind, is_act, scan
from unet_engine.annotations.recovery import newest_file
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

SHAPE = (2, 270, 300)
BOX = (slice(250, 260), slice(250, 270))


@pytest.fixture
def clock(monkeypatch):
    """Set the time of the next acts by ``clock.now``."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def paint(notes, label, z=0, box=BOX, act="stroke"):
    size = [part.stop - part.start for part in box]
    with notes.stroke(act):
        notes.accept((z,), box, np.full(size, label, np.uint8))


def begin_generation(notes):
    """Write all blocks to a new file, and wait for it."""
    notes._log.compact((notes._blocks.share(), notes._elsewhere.share()), notes._time)
    notes._log._compacting.join()


def all_times(notes):
    return np.stack([notes.times((z,)) for z in range(SHAPE[0])])


class DenseTimes:
    """Class ids and times of all pixels, in arrays of the whole shape."""

    def __init__(self):
        self.ids = np.full(SHAPE, IGNORE, np.uint8)
        self.times = np.full(SHAPE, np.nan)
        self.last = 0.0
        self.done = []

    def change(self, act, ids, now):
        """Make an act, after which the ids are these."""
        changed = ids != self.ids
        if not changed.any():
            return
        self.last = max(now, math.nextafter(self.last, math.inf))
        before = changed, self.ids, self.times
        self.times = np.where(changed, self.last, self.times)
        if act != "undo":
            self.done.append(before)
        elif self.done:
            covered, old_ids, old_times = self.done.pop()
            back = changed & covered & (old_ids == ids)
            self.times[back] = old_times[back]
        self.ids = ids
        self.times[ids == IGNORE] = np.nan

    def undone(self):
        """Return the ids after an undo of the last act."""
        if not self.done:
            return self.ids
        changed, old_ids, _ = self.done[-1]
        return np.where(changed, old_ids, self.ids)


_ACTS = ["stroke"] * 3 + ["undo"] * 2 + ["redo", "other undo", "compact", "reopen"]

_STEP = st.tuples(
    st.sampled_from(_ACTS),
    st.integers(0, 2**16),
    st.one_of(st.integers(0, 2), st.just(IGNORE)),
    st.integers(-3, 5),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(_STEP, min_size=12, max_size=20))
def test_times_equal_those_of_a_dense_array(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("times") / "strokes"
    dense, now = DenseTimes(), 1000.0
    notes, undone = Annotations.open(folder, SHAPE), None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time", SimpleNamespace(time=lambda: now))
        for step, seed, label, seconds in steps:
            now += seconds
            if step == "compact":
                begin_generation(notes)
                continue
            if step == "reopen":
                notes.close()
                notes = Annotations.open(folder, SHAPE)
                dense.done.clear()
                continue
            ids = dense.undone()
            if step != "undo":
                rng = np.random.default_rng(seed)
                y, x = rng.integers(248, 258, 2)
                ids = dense.ids.copy()
                ids[seed % 3 // 2, y : y + 9, x : x + 9] = label
                if step == "redo" and undone is not None:
                    ids = undone
            undone = dense.ids if step == "undo" else None
            act = step.split()[-1]
            where = np.nonzero(ids != dense.ids)
            with notes.stroke(act):
                notes.set(where, ids[where])
            dense.change(act, ids, now)
            np.testing.assert_array_equal(all_times(notes), dense.times)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    np.testing.assert_array_equal(all_times(again), dense.times)
    again.close()


def test_a_pixel_has_the_time_at_which_it_got_its_class(clock):
    notes = Annotations(SHAPE)
    paint(notes, 1)
    clock.now = 2000.0
    paint(notes, 1, box=(slice(250, 255), slice(240, 270)))
    times = notes.times((0,), (slice(249, 256), slice(240, 271)))
    assert np.isnan(times[0]).all()
    assert (times[1:6, :10] == 2000).all(), "painted for the first time"
    assert (times[1:7, 10:30] == 1000).all(), "painting a class again changes nothing"
    clock.now = 3000.0
    paint(notes, 2)
    assert np.nanmax(notes.times((0,))) == 3000
    paint(notes, 1, act="undo")
    np.testing.assert_array_equal(
        notes.times((0,), (slice(249, 256), slice(240, 271))), times
    )
    assert np.isnan(notes.times((1,))).all()
    with pytest.raises(DataError, match="no plane"):
        notes.times((2,))


def test_no_two_acts_have_one_time_though_the_clock_goes_back(clock, tmp_path):
    notes = Annotations.open(tmp_path / "strokes", SHAPE)
    for z, now in enumerate([1000.0, 400.0]):
        clock.now = now
        paint(notes, 1, z=z)
    first, second = (np.nanmax(notes.times((z,))) for z in range(2))
    assert 1000 == first < second < 1000.001
    notes.close()
    notes = Annotations.open(tmp_path / "strokes", SHAPE)
    paint(notes, 2, z=0)
    assert second < np.nanmax(notes.times((0,))) < 1000.001
    notes.close()


def test_a_copy_with_other_values_keeps_times(clock):
    notes = Annotations(SHAPE)
    paint(notes, 1)
    clock.now = 2000.0
    paint(notes, 2, box=(slice(0, 5), slice(0, 5)))
    copy = notes.copy({1: 3})
    paint(notes, 0)
    assert copy.target((0,), BOX).max() == 3
    assert (copy.times((0,), BOX) == 1000).all()
    assert np.isnan(copy.times((0,))[:5, :5]).all(), "not painted, in the copy"


def test_an_undo_of_what_was_painted_before_a_new_generation(clock, tmp_path):
    notes = Annotations.open(tmp_path / "strokes", SHAPE)
    paint(notes, 1)
    clock.now = 2000.0
    paint(notes, 2)
    begin_generation(notes)
    clock.now = 3000.0
    paint(notes, 1, act="undo")
    notes._log._lock.release()  # as a process that is killed
    again = Annotations.open(tmp_path / "strokes", SHAPE)
    assert (again.times((0,), BOX) == 1000).all()
    again.close()


def blocks_of(folder):
    """Return what the blocks of the newest file hold, as bytes."""
    records = scan(newest_file(folder).read_bytes())
    blocks = [record.payload for record in records if record.kind is Kind.BLOCK]
    return [zlib.decompress(payload[2 + 8 * 3 :]) for payload in blocks]


def test_programs_of_earlier_versions_find_ids_and_repaints(clock, tmp_path):
    folder = tmp_path / "strokes"
    notes = Annotations.open(folder, SHAPE)
    box = (slice(0, 5), slice(0, 7))
    paint(notes, 1, box=box)
    paint(notes, 1, z=1, box=box)
    paint(notes, 2, box=box)
    begin_generation(notes)
    paint(notes, 1, box=box, act="undo")
    for content, id_there, repainted in zip(
        blocks_of(folder), (2, 1), (35, 0), strict=True
    ):
        squares = np.frombuffer(content, np.uint8).reshape(-1, EDGE, EDGE)
        assert (squares[0][box] == id_there).all()
        assert np.count_nonzero(squares[1]) == repainted
    (act,) = (r for r in scan(newest_file(folder).read_bytes()) if is_act(r))
    content = zlib.decompress(act.payload[14:])
    table = np.frombuffer(content, "<i8", 5)
    assert table.tolist() == [0, 0, 0, 5, 7]
    ids = np.frombuffer(content, np.uint8, offset=table.nbytes)
    assert (ids[:35] == 1).all()
    notes.close()


def test_blocks_without_times_are_older_than_all_others(clock, tmp_path, monkeypatch):
    folder = tmp_path / "strokes"
    notes = Annotations.open(folder, SHAPE)
    paint(notes, 1)
    # A program of an earlier version writes no times.
    for *_, block in notes._blocks.items():
        object.__setattr__(block, "times", None)
    begin_generation(notes)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert (again.times((0,), BOX) == 0).all()
    assert np.isnan(again.times((0,))[0, 0])
    paint(again, 2)
    assert (again.times((0,), BOX) > 1000).all()
    paint(again, 1, act="undo")
    assert (again.times((0,), BOX) == 0).all()
    again.close()


def test_times_of_many_strokes_need_little_room(clock, tmp_path):
    folder = tmp_path / "strokes"
    notes = Annotations.open(folder, SHAPE)
    rng = np.random.default_rng(0)
    for number in range(400):
        clock.now += 1
        y, x = rng.integers(0, 250, 2)
        paint(notes, number % 3, box=(slice(y, y + 6), slice(x, x + 6)))
    begin_generation(notes)
    notes.close()
    (content,) = blocks_of(folder)[:1]
    rows = Annotations.open(folder, SHAPE)._blocks.find((0,), (0, 0)).times.rows
    assert rows.dtype == np.uint16, "as more than 256 acts were made"
    packed = len(zlib.compress(content, 1))
    without = len(zlib.compress(content[: 2 * EDGE * EDGE], 1))
    assert packed - without < 40 * 400


def test_times_that_are_damaged_are_refused():
    times = PaintTimes(np.array([[0, 1]], np.uint8), np.array([5.0, 6.0]))
    data = times.pack()
    back, end = PaintTimes.unpack(data, 0, (1, 2))
    assert (back.values == [[5, 6]]).all()
    assert end == len(data)
    for damaged, why in (
        (data[:3], "requires a buffer"),
        (data[:-1], "buffer is smaller"),
        (data[:-1] + b"\x02", "missing in the table"),
    ):
        with pytest.raises(ValueError, match=why):
            PaintTimes.unpack(damaged, 0, (1, 2))


def test_memory_for_undo_is_limited_and_what_is_older_has_the_time_of_the_undo(
    clock, monkeypatch
):
    monkeypatch.setattr(act_history, "_MOST_BYTES", 2000)
    notes = Annotations(SHAPE)
    for label in range(4):
        clock.now += 100
        paint(notes, label, box=(slice(0, 20), slice(0, 20)))
    assert notes._blocks._history._bytes <= 2000
    clock.now = 2000.0
    seen = []
    for label in (2, 1, 0):
        paint(notes, label, box=(slice(0, 20), slice(0, 20)), act="undo")
        seen.append(round(np.nanmax(notes.times((0,)))))
    assert seen == [1300, 1200, 2000]
    assert notes._blocks._history._bytes == 0
