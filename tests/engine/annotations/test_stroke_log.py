"""Strokes on disk: whatever ends the program or harms the file, the rest comes back."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.annotations import stroke_log, syncing
from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.records import HEAD_BYTES, is_act, scan
from unet_engine.annotations.recovery import newest_file
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

SHAPE = (3, 300, 520)
SQUARE = (slice(10, 20), slice(30, 50))


def paint(notes, label=1, z=0, at=(10, 30), size=(10, 20)):
    """Label a box with a class; one stroke."""
    region = tuple(slice(a, a + n) for a, n in zip(at, size, strict=True))
    notes.accept((z,), region, np.full(size, label, np.uint8))


def contents(notes):
    """Return all that can be read of annotations."""
    planes = [notes.target((z,)) for z in range(notes.shape[0])]
    return np.stack(planes), notes.classes(), notes.conflicts


def assert_same(one, other):
    for a, b in zip(contents(one), contents(other), strict=True):
        np.testing.assert_array_equal(a, b)


def file_of(folder: Path) -> Path:
    path = newest_file(folder)
    assert path is not None
    return path


def settle(notes):
    """Wait for a new generation that is being written."""
    thread = notes._log._compacting
    if thread is not None:
        thread.join()


def begin_generation(notes):
    """Write all blocks to a new file, and wait for it."""
    settle(notes)
    notes._log.compact((notes._blocks.share(), notes._elsewhere.share()), 0.0)
    settle(notes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "strokes"


@pytest.fixture
def small_generations(monkeypatch):
    """Begin a new generation every few strokes."""
    monkeypatch.setattr(stroke_log, "GROWN_BYTES", 500)


def test_strokes_come_back(folder):
    notes = Annotations.open(folder, SHAPE)
    assert not folder.exists(), "an image that is only shown leaves nothing"
    paint(notes)
    paint(notes, 2, z=2, at=(250, 250), size=(20, 20))
    assert notes.strokes == 2
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, notes)
    assert (again.strokes, again.recovery.strokes) == (2, 2)
    assert again.recovery.time == pytest.approx(
        os.stat(file_of(folder)).st_mtime, abs=9
    )
    assert not again.recovery.cut
    assert again.recovery.lost == 0


def test_what_is_written_needs_no_close(folder):
    notes = Annotations.open(folder, SHAPE)
    paint(notes)
    # A process that is killed closes nothing; its lock goes with it.
    notes._log._lock.release()
    assert_same(Annotations.open(folder, SHAPE), notes)


_ACT = st.tuples(
    st.sampled_from(["stroke", "stroke", "undo", "redo"]),
    st.integers(0, 2**16),
    st.one_of(st.integers(0, 3), st.just(IGNORE)),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.lists(_ACT, min_size=1, max_size=12), st.integers(0, 11))
def test_reopened_equals_seen(tmp_path_factory, acts, reopened_after):
    folder = tmp_path_factory.mktemp("acts") / "strokes"
    plain, saved = Annotations(SHAPE), Annotations.open(folder, SHAPE)
    for number, (act, seed, label) in enumerate(acts):
        rng = np.random.default_rng(seed)
        indices = tuple(rng.integers(0, min(n, 300), 50) for n in SHAPE)
        for notes in (plain, saved):
            with notes.stroke(act):
                notes.set(indices, label)
        if number == reopened_after:
            saved.close()
            saved = Annotations.open(folder, SHAPE)
            assert_same(saved, plain)
    begin_generation(saved)
    saved.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, plain)
    again.close()


def test_several_changes_are_one_stroke(folder):
    notes = Annotations.open(folder, SHAPE)
    with notes.stroke():
        paint(notes)
        paint(notes, 1, z=1)
    with notes.stroke():
        paint(notes)
    assert notes.strokes == 1, "what changes nothing is no stroke"


def test_undo_and_redo_are_saved(folder):
    notes = Annotations.open(folder, SHAPE)
    paint(notes, 1)
    before = notes.target((0,), SQUARE)
    paint(notes, 2)
    assert (notes.conflicts, notes.strokes) == (200, 2)
    with notes.stroke("undo"):
        notes.accept((0,), SQUARE, before)
    assert (notes.conflicts, notes.strokes) == (0, 1)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert again.classes() == {1: 200}
    assert (again.conflicts, again.strokes) == (0, 1)
    with again.stroke("redo"):
        again.accept((0,), SQUARE, np.full((10, 20), 2, np.uint8))
    assert (again.conflicts, again.strokes) == (200, 2)


def test_of_contradictory_strokes_the_newest_wins_and_they_are_counted(folder):
    notes = Annotations.open(folder, SHAPE)
    paint(notes, 1)
    paint(notes, 1)
    assert notes.conflicts == 0, "the same label twice is no contradiction"
    paint(notes, 2, at=(15, 30))
    assert notes.classes() == {1: 100, 2: 200}
    assert notes.conflicts == 100
    paint(notes, 1, at=(15, 30))
    assert notes.conflicts == 200, "pixels are counted, not how often"
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert again.conflicts == 200
    with again.stroke():
        again.accept((0,), SQUARE, np.full((10, 20), IGNORE, np.uint8))
    assert again.conflicts == 100, "what is cleared contradicts nothing"


def test_generations_follow_each_other(folder, small_generations):
    plain, notes = Annotations(SHAPE), Annotations.open(folder, SHAPE)
    rng = np.random.default_rng(0)
    for _ in range(40):
        at = tuple(rng.integers(0, 280, 2))
        for each in (plain, notes):
            paint(each, int(at[0]) % 3, z=int(at[1]) % 3, at=at)
        settle(notes)
    notes.close()
    assert int(file_of(folder).stem) > 2
    assert_same(Annotations.open(folder, SHAPE), plain)


def test_strokes_made_while_a_generation_begins_are_in_it(folder, monkeypatch):
    notes = Annotations.open(folder, SHAPE)
    paint(notes)
    go_on, genuine = threading.Event(), stroke_log.write_generation

    def slow(*arguments):
        genuine(*arguments)
        assert go_on.wait(30)

    monkeypatch.setattr(stroke_log, "write_generation", slow)
    notes._log.compact((notes._blocks.share(), notes._elsewhere.share()), 0.0)
    paint(notes, 2, z=1)
    assert int(file_of(folder).stem) == 1, "and they are saved meanwhile"
    go_on.set()
    settle(notes)
    assert int(file_of(folder).stem) == 2
    paint(notes, 1, z=2)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, notes)
    assert again.strokes == 3


def large_log(folder):
    """Save many planes as blocks; return how many there are."""
    shape = (40, 512, 512)
    notes = Annotations.open(folder, shape)
    rng = np.random.default_rng(0)
    for z in range(40):
        labels = rng.integers(0, 3, (512, 512)).astype(np.uint8)
        notes.accept((z,), (slice(None), slice(None)), labels)
    begin_generation(notes)
    notes.close()
    return shape, notes


@pytest.mark.slow
def test_opening_reads_no_block_before_it_is_requested(folder, monkeypatch):
    from unet_engine.annotations import block_file

    shape, painted = large_log(folder)
    read = []
    genuine = block_file.BlockFile.read

    def counting(self, offset, length):
        found = genuine(self, offset, length)
        read.append(len(found))
        return found

    monkeypatch.setattr(block_file.BlockFile, "read", counting)
    notes = Annotations.open(folder, shape)
    assert notes.classes() == painted.classes()
    assert notes.planes() == painted.planes()
    size = file_of(folder).stat().st_size
    assert sum(read) < size / 20
    np.testing.assert_array_equal(notes.target((7,)), painted.target((7,)))
    assert sum(read) < size / 10
    paint(notes, 1, z=3)
    held = [b for *_, b in notes._blocks.items() if hasattr(b, "ids")]
    assert len(held) == 1, "only the block that was changed is in memory"


@pytest.mark.slow
def test_a_copy_outlives_the_file_and_does_not_see_later_strokes(folder):
    shape, painted = large_log(folder)
    notes = Annotations.open(folder, shape)
    copy = notes.copy()
    paint(notes, 2, z=5)
    begin_generation(notes)
    notes.close()
    np.testing.assert_array_equal(copy.target((5,)), painted.target((5,)))
    assert not np.array_equal(notes.target((5,)), painted.target((5,)))
    assert copy.classes() == painted.classes()


def three_strokes(folder):
    """Save three strokes; return annotations after each, and where the acts lie."""
    states, ends = [], []
    notes = Annotations.open(folder, SHAPE)
    for z in range(3):
        paint(notes, z, z=z)
        states.append(notes.copy())
        ends.append(file_of(folder).stat().st_size)
    notes.close()
    return states, ends


@pytest.mark.parametrize("kept", [0, 1, 27, 28, 40, -1])
def test_a_log_cut_off_in_mid_record_is_recovered_up_to_it(folder, kept):
    states, ends = three_strokes(folder)
    with file_of(folder).open("rb+") as file:
        file.truncate(ends[2] - 1 if kept == -1 else ends[1] + kept)
    notes = Annotations.open(folder, SHAPE)
    assert_same(notes, states[1])
    assert notes.recovery.cut == (kept != 0)
    assert notes.strokes == 2
    paint(notes, 1, z=2, at=(100, 100))
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, notes)
    assert not again.recovery.cut
    assert again.recovery.lost == 0


@pytest.mark.parametrize("where", [0, 6, 9, 14, 22, 26, 30, 60])
def test_a_flipped_byte_costs_the_stroke_it_lies_in_and_no_other(folder, where):
    _, ends = three_strokes(folder)
    path = file_of(folder)
    data = bytearray(path.read_bytes())
    data[ends[0] + where] ^= 0x10
    path.write_bytes(data)
    notes = Annotations.open(folder, SHAPE)
    assert notes.recovery.lost == 1
    assert notes.planes() == ((0,), (2,))
    # The next stroke begins a file without damage; the damaged one is kept.
    paint(notes, 1, z=1)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert again.recovery.lost == 0
    assert_same(again, notes)
    assert [p.suffix for p in folder.iterdir() if "damaged" in p.name] == [".damaged"]


@pytest.mark.slow
def test_any_flipped_byte_of_blocks_and_index_costs_a_block_at_most(folder):
    notes = Annotations.open(folder, SHAPE)
    for z in range(3):
        paint(notes, z + 1, z=z)
    begin_generation(notes)
    paint(notes, 1, z=0, at=(100, 100))
    notes.close()
    data = file_of(folder).read_bytes()
    for where in range(0, len(data), 3):
        file_of(folder).write_bytes(
            data[:where] + bytes([data[where] ^ 0x40]) + data[where + 1 :]
        )
        again = Annotations.open(folder, SHAPE)
        right = sum(
            np.array_equal(again.target((z,)), notes.target((z,))) for z in range(3)
        )
        assert right >= 2, where
        counted = sum(again.classes().values())
        touched = sum(int(again.touched((z,)).sum()) for z in range(3))
        assert counted == touched, where
        again.close()


@pytest.mark.slow
def test_a_damaged_block_is_reported_and_counts_no_more(folder):
    shape, painted = large_log(folder)
    path = file_of(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    notes = Annotations.open(folder, shape)
    for z in range(shape[0]):
        notes.target((z,))
    assert notes.damaged == 1
    assert notes.count() == painted.count() - 256 * 256


def test_labels_of_another_size_are_refused_and_strokes_stay(folder):
    three_strokes(folder)
    for shape in ((3, 300, 500), (300, 520), (1, 3, 300, 520)):
        with pytest.raises(DataError, match="painted on labels of shape"):
            Annotations.open(folder, shape)
    assert Annotations.open(folder, SHAPE).strokes == 3


def test_strokes_on_slices_that_are_gone_are_kept_unseen(folder, small_generations):
    states, _ = three_strokes(folder)
    notes = Annotations.open(folder, (2, *SHAPE[1:]))
    assert notes.planes() == ((0,), (1,))
    assert notes.recovery.elsewhere == 1
    assert notes.count() == 400
    with pytest.raises(DataError, match="no plane"):
        notes.target((2,))
    for at in range(0, 200, 10):
        paint(notes, 1, z=0, at=(at, 200))
    settle(notes)
    notes.close()
    assert int(file_of(folder).stem) > 1
    again = Annotations.open(folder, SHAPE)
    assert again.recovery.elsewhere == 0
    np.testing.assert_array_equal(again.target((2,)), states[2].target((2,)))


def test_a_stack_may_have_grown(folder):
    three_strokes(folder)
    notes = Annotations.open(folder, (5, *SHAPE[1:]))
    paint(notes, 1, z=4)
    notes.close()
    assert Annotations.open(folder, (5, *SHAPE[1:])).planes() == tuple(
        (z,) for z in (0, 1, 2, 4)
    )


class Disk:
    """``os.write`` and ``os.fsync`` of a disk that is full or broken on demand."""

    def __init__(self, monkeypatch):
        self.full = self.broken = False
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def write(self, handle, data):
        if self.full:
            self._write(handle, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(handle, data)

    def fsync(self, handle):
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(handle)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.mark.parametrize("saved_before", [0, 1])
def test_a_full_disk_is_reported_at_once_and_painting_goes_on(
    folder, disk, saved_before
):
    notes, reports = Annotations.open(folder, SHAPE), []
    notes.watch(lambda: reports.append(notes.save_error))
    for z in range(saved_before):
        paint(notes, 1, z=z)
    disk.full = True
    paint(notes, 1, z=1)
    assert len(reports) == 1
    assert "No space left" in reports[0]
    if saved_before:
        other = Annotations.open(folder, SHAPE)
        assert other.count() == 200, "what was saved is untouched"
        other.close()
    paint(notes, 2, z=2)
    assert notes.planes()[-2:] == ((1,), (2,))
    assert len(reports) == 1
    disk.full = False
    paint(notes, 3, z=0, at=(100, 100))
    assert reports[-1] == notes.save_error == ""
    notes.close()
    assert_same(Annotations.open(folder, SHAPE), notes)
    data = file_of(folder).read_bytes()
    whole = sum(len(r.payload) + HEAD_BYTES for r in scan(data))
    assert whole == len(data), "the half of a stroke that was written is taken away"


def test_what_a_full_disk_refused_is_saved_on_closing(folder, disk):
    notes = Annotations.open(folder, SHAPE)
    disk.full = True
    paint(notes)
    disk.full = False
    notes.close()
    assert_same(Annotations.open(folder, SHAPE), notes)


def test_no_room_for_a_new_generation_harms_nothing(folder, disk, caplog):
    notes = Annotations.open(folder, SHAPE)
    paint(notes)
    disk.full = True
    begin_generation(notes)
    disk.full = False
    assert "no new generation" in caplog.text
    paint(notes, 2, z=1)
    notes.close()
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "00000001.strokes"]
    assert_same(Annotations.open(folder, SHAPE), notes)


def test_a_disk_that_fails_late_is_reported_and_strokes_are_written_again(
    folder, disk, monkeypatch
):
    monkeypatch.setattr(syncing, "SYNC_S", 0.01)
    notes, reports = Annotations.open(folder, SHAPE), threading.Event()
    paint(notes)
    disk.broken = True
    notes.watch(reports.set)
    paint(notes, 2, z=1)
    assert reports.wait(30)
    assert "saving is tried again" in notes.save_error
    disk.broken = False
    paint(notes, 2, z=2)
    assert notes.save_error == ""
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, notes)
    assert again.strokes == 3, "a stroke that was written twice counts once"
    acts = [r.number for r in scan(file_of(folder).read_bytes()) if is_act(r)]
    assert acts[-2:] == [2, 3]
    assert acts.count(2) == 2, "it was not known whether it was on the disk"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    notes = Annotations.open(tmp_path / "file" / "strokes", SHAPE)
    paint(notes)
    assert "not being saved" in notes.save_error
    assert str(tmp_path) in notes.save_error
    assert notes.count() == 200
    (tmp_path / "file").unlink()
    paint(notes, 2, z=1)
    assert notes.save_error == ""
    notes.close()
    assert_same(Annotations.open(tmp_path / "file" / "strokes", SHAPE), notes)


def test_a_folder_that_was_removed_meanwhile_is_made_again(folder):
    notes = Annotations.open(folder, SHAPE)
    paint(notes)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    paint(notes, 2, z=1)
    settle(notes)
    paint(notes, 2, z=2)
    assert notes.save_error == ""
    notes.close()
    assert_same(Annotations.open(folder, SHAPE), notes)


def test_a_second_window_works_without_saving(folder):
    first = Annotations.open(folder, SHAPE)
    paint(first)
    second = Annotations.open(folder, SHAPE)
    assert_same(first, second)
    assert "Another window" in second.save_error
    before = file_of(folder).read_bytes()
    paint(second, 2, z=1)
    assert second.classes() == {1: 200, 2: 200}
    second.close()
    assert file_of(folder).read_bytes() == before
    paint(first, 3, z=2)
    first.close()
    assert_same(Annotations.open(folder, SHAPE), first)


def test_two_windows_that_begin_together(folder):
    first, second = Annotations.open(folder, SHAPE), Annotations.open(folder, SHAPE)
    paint(first)
    paint(second, 2)
    assert first.save_error == ""
    assert "Another window" in second.save_error
    first.close()
    assert_same(Annotations.open(folder, SHAPE), first)


def test_a_window_that_was_overtaken_does_not_write_over_the_other(folder):
    late, other = Annotations.open(folder, SHAPE), Annotations.open(folder, SHAPE)
    paint(other)
    other.close()
    paint(late, 2, z=1)
    assert "since it was opened" in late.save_error
    late.close()
    assert_same(Annotations.open(folder, SHAPE), other)


def test_closed_annotations_can_go_on(folder):
    notes = Annotations.open(folder, SHAPE)
    paint(notes)
    notes.close()
    other = Annotations.open(folder, SHAPE)
    assert other.save_error == "", "what is closed is open to others"
    other.close()
    paint(notes, 2, z=1)
    notes.resume()
    paint(notes, 1, z=2)
    settle(notes)
    notes.close()
    again = Annotations.open(folder, SHAPE)
    assert_same(again, notes)
    paint(again, 2, z=0, at=(100, 100))
    again.close()
    notes.resume()
    paint(notes, 2, z=2)
    assert "since it was opened" in notes.save_error
    notes.close()
    assert_same(Annotations.open(folder, SHAPE), again)


def test_a_log_of_a_newer_version_is_left_alone(folder, monkeypatch):
    from unet_engine.annotations import snapshot

    monkeypatch.setattr(snapshot, "VERSION", 2)
    three_strokes(folder)
    before = file_of(folder).read_bytes()
    monkeypatch.setattr(snapshot, "VERSION", 1)
    with pytest.raises(DataError, match="newer version"):
        Annotations.open(folder, SHAPE)
    assert file_of(folder).read_bytes() == before
    monkeypatch.setattr(snapshot, "VERSION", 2)
    assert Annotations.open(folder, SHAPE).strokes == 3, "and no lock is left on it"


def run_kill_points(tmp_path: Path, every: int) -> int:
    script = Path(__file__).with_name("stroke_kill_points.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path, str(every)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_while_painting_every_stroke_but_the_last_comes_back(tmp_path):
    assert run_kill_points(tmp_path, 5) > 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_at_every_operation(tmp_path):
    assert run_kill_points(tmp_path, 1) > 100
