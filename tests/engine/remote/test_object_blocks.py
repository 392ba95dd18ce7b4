"""Objects that workers find have the ids of one process."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from local_processes import end_scheduler_of, workers_of

from unet_engine.cli import main
from unet_engine.generators import drain
from unet_engine.objects import ObjectConfig, SemanticMask, iter_label_objects
from unet_engine.remote import object_blocks
from unet_engine.remote.connection import Connection
from unet_engine.remote.dispatch import Dispatch
from unet_engine.remote.object_blocks import RemoteSplit
from unet_engine.stopping import never
from unet_engine.synthetic.nuclei import nuclei

DEVICE = "local:2"


@pytest.fixture(scope="module")
def masks() -> dict[str, SemanticMask]:
    """Make masks of every kind: of necks, of maps, with a boundary, and a volume."""
    truth = nuclei((200, 230), seed=0)[1]
    classes = (truth > 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 255, (2, *classes.shape), np.uint8) * classes
    edges = classes.copy()
    edges[::17] *= 2
    probabilities = rng.random((3, *classes.shape), np.float32)
    return {
        "necks": SemanticMask(classes=classes),
        "maps": SemanticMask(classes=classes, object_maps=maps),
        "boundary": SemanticMask(
            classes=edges, boundary=2, probabilities=probabilities
        ),
        "volume": SemanticMask(
            classes=np.stack([classes[:150, :150]] * 5), ndim=3, spacing=(3.0, 1.0, 1.0)
        ),
    }


def _found(mask, split=None, **settings):
    config = ObjectConfig(overlap=16, **settings)
    block = (4, 60, 50)[-mask.ndim :]
    options = {} if split is None else {"split": split}
    return drain(iter_label_objects(mask, config, block=block, **options))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["necks", "maps", "boundary", "volume"])
def test_ids_are_those_of_one_process(masks, kind):
    here = _found(masks[kind])
    there = _found(masks[kind], RemoteSplit(DEVICE, never))
    assert here.classes.size > 2
    np.testing.assert_array_equal(there.labels, here.labels)
    np.testing.assert_array_equal(there.classes, here.classes)
    assert there.small == here.small


@pytest.mark.parametrize(
    "settings", [{"method": "components"}, {"volumes": "linked"}], ids=str
)
def test_other_methods_go_there_as_well(masks, settings):
    here = _found(masks["volume"], **settings)
    there = _found(masks["volume"], RemoteSplit(DEVICE, never), **settings)
    np.testing.assert_array_equal(there.labels, here.labels)


def test_when_the_scheduler_is_gone_this_process_goes_on(masks, monkeypatch):
    here = _found(masks["necks"])
    _found(masks["necks"], RemoteSplit(DEVICE, never))
    ended = []
    genuine = Dispatch._answer

    def ending(self, job):
        if not ended:
            ended.append(True)
            end_scheduler_of(2)
        return genuine(self, job)

    monkeypatch.setattr(Dispatch, "_answer", ending)
    there = _found(masks["necks"], RemoteSplit(DEVICE, never))
    assert ended
    np.testing.assert_array_equal(there.labels, here.labels)


@pytest.mark.slow
def test_a_line_that_breaks_when_a_block_is_ordered_loses_none(masks, monkeypatch):
    here = _found(masks["necks"])
    ordered = []
    genuine = Connection.submit

    def breaking(self, name, *arguments):
        ordered.append(name)
        if len(ordered) == 6:
            raise self.lost()
        return genuine(self, name, *arguments)

    monkeypatch.setattr(Connection, "submit", breaking)
    there = _found(masks["necks"], RemoteSplit(DEVICE, never))
    assert ordered == ["objects.split"] * 6
    np.testing.assert_array_equal(there.labels, here.labels)


@pytest.mark.slow
def test_what_a_worker_fails_at_is_done_here(masks, monkeypatch):
    here = _found(masks["necks"])
    packed = []
    genuine = object_blocks.PackedBlock.of

    def damaged(pixels):
        packed.append(pixels)
        return None if len(packed) == 3 else genuine(pixels)

    monkeypatch.setattr(object_blocks.PackedBlock, "of", damaged)
    there = _found(masks["necks"], RemoteSplit(DEVICE, never))
    assert len(packed) >= 3
    np.testing.assert_array_equal(there.labels, here.labels)


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_nothing(masks, monkeypatch):
    here = _found(masks["necks"])
    killed = []
    genuine = object_blocks.PackedBlock.of

    def kill_one(pixels):
        if not killed:
            killed.append(workers_of(2)[0])
            killed[0].kill()
        return genuine(pixels)

    monkeypatch.setattr(object_blocks.PackedBlock, "of", kill_one)
    there = _found(masks["necks"], RemoteSplit(DEVICE, never))
    assert killed
    np.testing.assert_array_equal(there.labels, here.labels)


def test_the_command_writes_the_same_files(tmp_path):
    classes = (nuclei((150, 160), seed=1)[1] > 0).astype(np.uint8)
    mask = zarr.create_array(
        tmp_path / "mask.zarr",
        shape=classes.shape,
        chunks=(64, 64),
        dtype="u1",
        config={"write_empty_chunks": True},
    )
    mask[...] = classes
    for device in ("cpu", DEVICE):
        out = tmp_path / device[:3]
        out.mkdir()
        words = ["objects", str(tmp_path / "mask.zarr"), f"--device={device}", "-q"]
        names = [f"--output={out / 'o.ome.zarr'}", f"--table={out / 'o.csv'}"]
        assert main([*words, *names]) == 0
    here, there = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "cpu", tmp_path / "loc")
    )
    assert here == there
