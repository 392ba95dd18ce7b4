"""Workers that read and write object storage which throttles, and is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from distributed import Client, LocalCluster, get_worker
from faulty_storage import FaultyStorage

from unet_engine import ModelSpec, PredictConfig
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import open_image
from unet_engine.images.zarr import retrying
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.remote import predictor
from unet_engine.prediction.segmentation import iter_predict, predict
from unet_engine.remote import connection as connections
from unet_engine.remote import dispatch
from unet_engine.remote.connection import Connection
from unet_engine.remote.dispatch import Dispatch
from unet_engine.worker import storage as worker

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "tcp://127.0.0.1:65000"
RESULTS = "faulty://bucket/l.ome.zarr"


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalCluster]:
    """Have workers that are threads of this process, whose storage they see."""
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            protocol="inproc",
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        connections._connections[DEVICE] = Connection(DEVICE, client)
        yield cluster
        del connections._connections[DEVICE]


@pytest.fixture(autouse=True)
def bucket(monkeypatch) -> np.ndarray:
    """Fill a bucket with an image, and do not wait between tries."""
    FaultyStorage.start()
    monkeypatch.setattr(retrying, "WAITS_S", (0.0,) * 5)
    monkeypatch.setattr(predictor.PixelSender, "cut", None)
    pixels = np.random.default_rng(0).integers(0, 1000, (300, 1100), np.uint16)
    image = Multiscale(
        path=Address("faulty://bucket/i.ome.zarr"),
        axes="YX",
        shape=pixels.shape,
        chunks=(256, 256),
        dtype=pixels.dtype,
    )
    image.open(anew=True)[...] = pixels
    assert image.finish(lambda: False, {})
    return pixels


@pytest.fixture(scope="module")
def model(make_checkpoint):
    return make_checkpoint(ModelSpec(depth=2, width=4))


def _run(model, device: str = DEVICE, output: str = RESULTS):
    image = open_image("faulty://bucket/i.ome.zarr")
    config = PredictConfig(tile=128, device=device)
    return image, model, config, DiskOutput(output)


def _predict(image, model, config, output):
    return predict(image, model, config, into=output)


def test_a_worker_that_comes_later_gets_tiles(workers, model, monkeypatch):
    monkeypatch.setattr(dispatch, "_LOOK_S", 0.0)
    at_work, ordered = set(), []
    genuine, order = worker.predict_batch, Dispatch.again

    def recorded(*arguments):
        at_work.add(get_worker().address)
        return genuine(*arguments)

    def counted(self, job):
        ordered.append(len(self.pending))
        order(self, job)

    monkeypatch.setattr(worker, "predict_batch", recorded)
    monkeypatch.setattr(Dispatch, "again", counted)
    image, model, config, output = _run(model)
    run = iter_predict(image, model, config, into=output)
    next(run)
    assert max(ordered) == 2
    workers.scale(2)
    workers.sync(workers._correct_state)
    assert drain(run).complete
    assert len(at_work) == 2
    assert max(ordered) == 4


@pytest.mark.parametrize("works_after", [1, 2])
def test_a_bucket_holds_what_one_process_writes(workers, model, works_after):
    assert _predict(*_run(model, "cpu")).complete
    expected = FaultyStorage.contents("bucket/l.ome.zarr")
    FaultyStorage().rm("/bucket/l.ome.zarr", recursive=True)
    FaultyStorage.works_after = works_after
    result = _predict(*_run(model))
    assert result.complete
    assert result.notes == ()
    assert FaultyStorage.contents("bucket/l.ome.zarr") == expected


def test_a_bucket_that_is_away_is_one_line_and_the_run_goes_on(workers, model):
    image, model, config, output = _run(model)
    run = iter_predict(image, model, config, into=output)
    next(run)
    FaultyStorage.away = "l.ome.zarr/0"
    with pytest.raises(DataError, match=r"l\.ome\.zarr cannot be written: the bucket"
                       r" is away, 6 times in a row; check the address"):  # fmt: skip
        drain(run)
    FaultyStorage.away = ""
    assert _predict(*_run(model)).complete
    _predict(*_run(model, "cpu", "faulty://bucket/l/l.ome.zarr"))
    assert FaultyStorage.contents("bucket/l.ome.zarr") == FaultyStorage.contents(
        "bucket/l/l.ome.zarr"
    )
