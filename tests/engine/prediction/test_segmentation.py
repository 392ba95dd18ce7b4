"""Tests of planning and of prediction in tiles."""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.compute.runner import RUNNERS, Runner
from unet_engine.errors import DataError, EngineError, OutOfMemoryError, SpecError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, open_image
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.outputs import ArrayOutput
from unet_engine.prediction.segmentation import iter_predict, plan_prediction, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from unet_engine.devices import Precision
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.events import Prediction, TileDone

CPU = PredictConfig(device="cpu", tile=32, probabilities=True)
WHOLE = PredictConfig(device="cpu", tile=8192, probabilities=True)


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable) -> Checkpoint:
    return make_checkpoint()


def plane(*shape: int, axes: str = "YX", seed: int = 0, **options: object) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, axes, **options)


def events_of(run: Iterator) -> tuple[list[TileDone], Prediction]:
    events: list[TileDone] = []
    result = drain(run, events.append)
    return events, result


def assert_same(found: Prediction, expected: Prediction) -> None:
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)


@pytest.mark.parametrize("tile", [pytest.param(64, marks=pytest.mark.slow), 100, 256])
def test_tiles_of_the_default_unet_equal_the_whole(
    make_checkpoint: Callable, tile: int
):
    checkpoint = make_checkpoint(ModelSpec())
    image = plane(300, 340)
    whole = predict(image, checkpoint, WHOLE)
    config = dataclasses.replace(CPU, tile=tile)
    tiled = predict(image, checkpoint, config)
    assert np.ptp(whole.probabilities) > 0.5
    assert_same(tiled, whole)
    certain = np.abs(whole.probabilities[1] - 0.5) > 1e-4
    np.testing.assert_array_equal(tiled.labels[certain], whole.labels[certain])


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    tile=st.integers(32, 100),
    depth=st.integers(1, 3),
)
def test_tiles_of_small_unets_equal_the_whole(
    make_checkpoint: Callable, height: int, width: int, tile: int, depth: int
):
    checkpoint = make_checkpoint(ModelSpec(depth=depth, width=2))
    image = plane(height, width)
    config = dataclasses.replace(CPU, tile=tile)
    tiled = predict(image, checkpoint, config)
    assert tiled.labels.shape == (height, width)
    assert_same(tiled, predict(image, checkpoint, WHOLE))


def segmenting() -> list[tuple[str, int]]:
    return [
        (name, ndim)
        for name, row in ARCHITECTURES.items()
        if not row.reconstructs
        for ndim in row.ndims
    ]


@pytest.mark.parametrize(("architecture", "ndim"), segmenting())
def test_tiles_of_every_architecture_equal_the_whole(
    make_checkpoint: Callable, architecture: str, ndim: int
):
    fixed = ARCHITECTURES[architecture].fixed_depth
    sizes = {"dense_width": 8} if fixed else {"depth": 2}
    spec = ModelSpec.for_architecture(architecture, ndim=ndim, **{"width": 2, **sizes})
    image = plane(70, 100) if ndim == 2 else plane(6, 24, 40, axes="ZYX")
    checkpoint = make_checkpoint(spec)
    config = dataclasses.replace(CPU, tile=64)
    assert plan_prediction(image, spec, config).total > 1
    whole = predict(image, checkpoint, WHOLE)
    assert np.ptp(whole.probabilities) > 1e-2
    assert_same(predict(image, checkpoint, config), whole)


def test_volumes_are_predicted_one_by_one(make_checkpoint: Callable):
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=2, ndim=3))
    film = plane(2, 5, 20, 24, axes="TZYX")
    events, result = events_of(
        iter_predict(film, checkpoint, CPU, near=((1, 4), (9, 9)))
    )
    assert events[0].index == (1,)
    assert events[0].inner[0].stop == 5
    assert all(len(e.inner) == 3 for e in events)
    assert result.labels.shape == (2, 5, 20, 24)
    measured = Normalisation.measure(film)
    volume = Image.from_array(film.data[1], "ZYX")
    alone = predict(volume, checkpoint, CPU, normalisation=measured)
    np.testing.assert_allclose(result.probabilities[:, 1], alone.probabilities)
    with pytest.raises(DataError, match="no Z"):
        predict(plane(20, 24), checkpoint, CPU)


def test_a_model_without_classes_cannot_segment(make_checkpoint: Callable):
    spec = ModelSpec(architecture="autoencoder", classes=(), depth=1, width=2)
    with pytest.raises(SpecError, match="no classes"):
        predict(plane(20, 24), make_checkpoint(spec), CPU)


def test_the_whole_is_the_output_of_the_network(model: Checkpoint):
    image = plane(40, 53)
    block = Normalisation.measure(image).apply(image.read())
    # Only what its poolings need is added.
    expected = Runner(model, "cpu")(np.pad(block, ((0, 0), (0, 0), (0, 3)), "reflect"))
    found = predict(image, model, WHOLE)
    np.testing.assert_allclose(found.probabilities, expected[..., :53], atol=1e-5)
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(axis=0))


def test_a_network_without_padding_sees_the_mirrored_image(make_checkpoint: Callable):
    spec = ModelSpec(architecture="unet-valid", depth=2, width=4)
    model, image = make_checkpoint(spec), plane(40, 52)
    block = Normalisation.measure(image).apply(image.read())
    rows, columns = spec.footprint.around([(0, 40), (0, 52)])
    margins = (-rows[0], rows[1] - 40), (-columns[0], columns[1] - 52)
    assert min(margins[0]) > 0
    padded = np.pad(block, ((0, 0), *margins), "reflect")
    expected = Runner(model, "cpu")(padded)[:, :40, :52]
    config = dataclasses.replace(WHOLE, average_flips="off")
    found = predict(image, model, config)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


@pytest.mark.cpu
def test_events_carry_every_tile_once(model: Checkpoint):
    events, result = events_of(iter_predict(plane(2, 50, 70, axes="ZYX"), model, CPU))
    assert [e.done for e in events] == list(range(1, 13))
    assert {e.total for e in events} == {12}
    assert result.complete
    assert result.device == "cpu"
    labels, probabilities = np.full((2, 50, 70), 99), np.zeros((2, 2, 50, 70))
    for event in events:
        assert event.labels.dtype == np.uint8
        labels[(*event.index, *event.inner)] = event.labels
        probabilities[(slice(None), *event.index, *event.inner)] = event.probabilities
    np.testing.assert_array_equal(labels, result.labels)
    np.testing.assert_allclose(probabilities, result.probabilities)


def test_probabilities_are_kept_only_on_request(model: Checkpoint):
    config = PredictConfig(device="cpu", tile=32)
    events, result = events_of(iter_predict(plane(40, 40), model, config))
    assert result.probabilities is None
    assert events[0].probabilities is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (5, 3)])
def test_images_smaller_than_a_tile(model: Checkpoint, shape: tuple[int, int]):
    result = predict(plane(*shape), model, CPU)
    assert result.labels.shape == shape
    assert np.isfinite(result.probabilities).all()


def odd_images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    base = rng.random((40, 44)).astype(np.float32)
    broken = base.copy()
    broken[3:6, 7:9] = np.nan
    broken[20, 20], broken[21, 21] = np.inf, -np.inf
    return {
        "constant": np.full((40, 44), 7, np.uint8),
        "nan": broken,
        "signed": base * 2 - 1,
        "offset": (base * 900 + 32768).astype(np.uint16),
        "bool": base > 0.7,
    }


@pytest.mark.parametrize("kind", odd_images())
def test_odd_pixels_give_a_result(model: Checkpoint, kind: str):
    result = predict(Image.from_array(odd_images()[kind], "YX"), model, CPU)
    assert result.complete
    assert np.isfinite(result.probabilities).all()
    if kind in ("nan", "constant"):
        assert result.notes


def test_offset_and_sign_of_the_pixels_do_not_matter(model: Checkpoint):
    base = np.random.default_rng(0).integers(0, 900, (40, 44))
    expected = predict(Image.from_array(base.astype(np.uint16), "YX"), model, CPU)
    for pixels in (base + 32768).astype(np.uint16), base / 450.0 - 1:
        assert_same(predict(Image.from_array(pixels, "YX"), model, CPU), expected)


def test_complex_pixels_and_wrong_channels_are_refused(model: Checkpoint):
    with pytest.raises(DataError, match="complex"):
        predict(Image.from_array(np.ones((8, 8), complex), "YX"), model, CPU)
    with pytest.raises(DataError, match="channels"):
        predict(plane(5, 32, 32, axes="CYX"), model, CPU)


def test_rgb_is_seen_in_colour_or_as_luminance(make_checkpoint: Callable):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 36, 3)).astype(np.uint8)
    image = Image.from_array(pixels, "YXS")
    colour = make_checkpoint(ModelSpec(depth=2, width=4, in_channels=3))
    assert predict(image, colour, CPU).labels.shape == (40, 36)
    luminance = Image.from_array(image.to_grey().read()[0], "YX")
    grey = make_checkpoint()
    assert_same(predict(image, grey, CPU), predict(luminance, grey, CPU))


def test_a_stack_is_predicted_plane_by_plane_with_one_normalisation(model: Checkpoint):
    stack = plane(2, 3, 40, 36, axes="TZYX")
    result = predict(stack, model, CPU)
    assert result.labels.shape == (2, 3, 40, 36)
    assert result.probabilities.shape == (2, 2, 3, 40, 36)
    measured = Normalisation.measure(stack)
    single = Image.from_array(stack.data[1, 2], "YX")
    alone = predict(single, model, CPU, normalisation=measured)
    np.testing.assert_array_equal(result.labels[1, 2], alone.labels)


def test_a_given_normalisation_is_used_and_its_notes_passed_on(model: Checkpoint):
    image = plane(40, 36)
    wide = Normalisation(low=(-5000.0,), high=(5000.0,), notes=("measured elsewhere",))
    result = predict(image, model, CPU, normalisation=wide)
    assert result.notes == ("measured elsewhere",)
    assert not np.allclose(
        result.probabilities, predict(image, model, CPU).probabilities, atol=1e-4
    )
    with pytest.raises(DataError, match="measured on 3 channels"):
        predict(
            image, model, CPU, normalisation=Normalisation(low=(0,) * 3, high=(1,) * 3)
        )


def test_only_the_planes_requested_are_predicted(model: Checkpoint):
    stack = plane(4, 40, 36, axes="ZYX")
    everything = predict(stack, model, CPU)
    some = predict(stack, model, CPU, indices=[(2,), (1,), (2,)])
    assert some.complete
    assert some.labels.shape == (4, 40, 36)
    np.testing.assert_array_equal(some.labels[1:3], everything.labels[1:3])
    assert not some.probabilities[:, [0, 3]].any()
    for wrong in (4,), (-1,), (), (0, 0):
        with pytest.raises(DataError, match="there is no plane"):
            predict(stack, model, CPU, indices=[wrong])


def test_stop_keeps_the_finished_tiles(model: Checkpoint):
    image = plane(96, 96)
    events: list[TileDone] = []
    run = iter_predict(image, model, CPU, stop=lambda: len(events) == 4)
    result = drain(run, events.append)
    assert len(events) == 4
    assert not result.complete
    everything = predict(image, model, CPU)
    for event in events:
        np.testing.assert_allclose(
            result.probabilities[:, *event.inner],
            everything.probabilities[:, *event.inner],
        )
    assert not result.probabilities[:, 64:].any()


def test_stop_ends_a_tile_between_two_layers(model: Checkpoint):
    layers: list[int] = []

    def stop() -> bool:
        layers.append(1)
        # The first poll is before the tile, the others are within it.
        return len(layers) > 4

    events, result = events_of(iter_predict(plane(96, 96), model, CPU, stop=stop))
    assert events == []
    assert not result.complete
    assert len(layers) == 5
    assert predict(plane(96, 96), model, CPU).complete, "the hook is gone"


def test_another_thread_is_not_stopped(model: Checkpoint):
    found: list[Prediction] = []

    def stop() -> bool:
        other = threading.Thread(
            target=lambda: found.append(predict(plane(40, 40), model, CPU))
        )
        other.start()
        other.join()
        return True

    run = iter_predict(plane(40, 40), model, CPU, stop=lambda: len(found) > 0 or stop())
    assert not events_of(run)[1].complete
    assert found[0].complete


def test_tiles_go_into_arrays_of_the_caller(model: Checkpoint, tmp_path: Path):
    image = plane(3, 70, 80, axes="ZYX")
    expected = predict(image, model, CPU)
    labels = zarr.create_array(
        tmp_path / "mine.zarr", shape=(3, 70, 80), chunks=(1, 32, 32), dtype="u1"
    )
    maps = np.memmap(tmp_path / "maps", np.float32, "w+", shape=(2, 3, 70, 80))
    result = predict(image, model, CPU, into=ArrayOutput(labels, maps))
    assert result.labels is labels
    np.testing.assert_array_equal(labels[...], expected.labels)
    np.testing.assert_array_equal(maps, expected.probabilities)


def test_the_tile_that_cannot_be_read_is_named(model: Checkpoint, tmp_path: Path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(2, 96, 96), chunks=(1, 32, 32), dtype="u2"
    )
    array[...] = plane(2, 96, 96, axes="ZYX").data
    (tmp_path / "a.zarr" / "c" / "1" / "2" / "2").write_bytes(b"damaged")
    image = open_image(tmp_path / "a.zarr", axes="ZYX")
    known = Normalisation(low=(0.0,), high=(1000.0,))
    events: list[TileDone] = []
    run = iter_predict(image, model, CPU, normalisation=known)
    with pytest.raises(DataError, match=r"tile \[32:64, 32:64\] of plane 1: .*damaged"):
        drain(run, events.append)
    assert len(events) == 9 + 4


def test_the_tile_is_named_when_not_even_the_brightness_can_be_measured(
    model: Checkpoint, tmp_path: Path
):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(96, 96), chunks=(32, 32), dtype="u2"
    )
    array[:64, :] = 1
    with pytest.raises(DataError, match=r"tile \[32:64, 0:32\]: .*c/2/0 .* is missing"):
        predict(open_image(tmp_path / "a.zarr"), model, CPU)


def test_a_file_that_changes_during_a_run_is_noticed(model: Checkpoint, tmp_path: Path):
    path = tmp_path / "a.tif"
    pixels = plane(96, 96).data
    tifffile.imwrite(path, pixels)
    run = iter_predict(open_image(path), model, CPU)
    next(run)
    tifffile.imwrite(path, pixels[::-1])
    with pytest.raises(DataError, match=r"a\.tif was changed"):
        next(run)


def test_a_file_cut_short_during_a_run_is_no_crash(model: Checkpoint, tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, plane(400, 400).data)
    known = Normalisation(low=(0.0,), high=(1000.0,))
    run = iter_predict(open_image(path), model, CPU, normalisation=known)
    next(run)
    os.truncate(path, 4000)
    with pytest.raises(DataError, match=r"tile \[0:32, 32:64\]: .*was changed"):
        next(run)


def test_a_chunk_that_is_written_during_a_run_is_noticed_at_its_end(
    model: Checkpoint, tmp_path: Path
):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(96, 96), chunks=(32, 32), dtype="u2"
    )
    array[...] = plane(96, 96).data
    run = iter_predict(open_image(tmp_path / "a.zarr"), model, CPU)
    next(run)
    array[:32, :32] = 7
    with pytest.raises(DataError, match="changed by another program"):
        drain(run, lambda event: None)


def test_tiles_of_flat_volumes_are_wide(make_checkpoint: Callable):
    spec = ModelSpec(depth=2, width=4, ndim=3)
    deep = plan_prediction(
        plane(200, 300, 300, axes="ZYX"), spec, PredictConfig(tile=512)
    )
    flat = plan_prediction(
        plane(16, 300, 300, axes="ZYX"), spec, PredictConfig(tile=512)
    )
    assert deep.tiles.tile == (64, 64, 64)
    assert flat.tiles.tile == (16, 128, 128)


def test_tiles_are_numbered(model: Checkpoint):
    for spec, stack in (
        (model.spec, plane(3, 100, 60, axes="ZYX")),
        (ModelSpec(depth=2, width=4, ndim=3), plane(2, 20, 50, 40, axes="TZYX")),
    ):
        plan = plan_prediction(stack, spec, CPU)
        jobs = [(index, tile) for index in plan.planes for tile in plan.tiles]
        numbers = [plan.number(*job) for job in jobs]
        assert numbers == list(range(plan.total))
        assert [plan.at(number) for number in numbers] == jobs


def test_the_nearest_tiles_and_planes_come_first(model: Checkpoint):
    stack = plane(3, 96, 96, axes="ZYX")
    run = iter_predict(stack, model, CPU, near=((1,), (90.0, 5.0)))
    events, result = events_of(run)
    assert events[0].index == (1,)
    assert events[0].inner == (slice(64, 96), slice(0, 32))
    assert [e.index for e in events[:9]] == [(1,)] * 9
    np.testing.assert_array_equal(result.labels, predict(stack, model, CPU).labels)


def test_the_order_follows_the_viewport(model: Checkpoint):
    stack = plane(3, 64, 64, axes="ZYX")
    place = [((0,), (0.0, 0.0))]
    run = iter_predict(stack, model, CPU, near=lambda: place[0])
    first = next(run)
    place[0] = ((2,), (60.0, 60.0))
    second = next(run)
    assert (first.index, second.index) == ((0,), (2,))
    assert second.inner == (slice(32, 64), slice(32, 64))
    rest, result = events_of(run)
    assert len(rest) == 10
    np.testing.assert_array_equal(result.labels, predict(stack, model, CPU).labels)


class CountedReads:
    """An array-like that notes which pixels are read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.ndim = pixels.ndim
        self.seen = np.zeros(pixels.shape, bool)

    def __getitem__(self, key: object) -> np.ndarray:
        self.seen[key] = True
        return self.pixels[key]


def test_only_what_the_tiles_need_is_read(model: Checkpoint):
    lazy = CountedReads(np.random.default_rng(0).random((3, 200, 200), np.float32))
    image = Image.from_array(lazy, "ZYX")
    known = Normalisation(low=(0.0,), high=(1.0,))
    run = iter_predict(
        image, model, CPU, indices=[(1,)], normalisation=known, near=((1,), (0.0, 0.0))
    )
    assert not lazy.seen.any()
    next(run)
    reach = 32 + model.spec.footprint.halo[0] + 4
    assert lazy.seen[1, :32, :32].all()
    assert not lazy.seen[1, reach:].any()
    assert not lazy.seen[1, :, reach:].any()
    assert not lazy.seen[[0, 2]].any()


def test_dask_is_read_tile_by_tile(model: Checkpoint):
    da = pytest.importorskip("dask.array")
    pixels = np.random.default_rng(0).random((4, 160, 160)).astype(np.float32)
    computed: list[int] = []

    def load(block: np.ndarray, block_info: dict | None = None) -> np.ndarray:
        if block_info:
            computed.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.from_array(pixels, chunks=(1, 80, 80)).map_blocks(
        load, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32)
    )
    known = Normalisation(low=(0.0,), high=(1.0,))
    found = predict(
        Image.from_array(lazy, "ZYX"), model, CPU, indices=[(2,)], normalisation=known
    )
    assert set(computed) == {2}
    expected = predict(
        Image.from_array(pixels, "ZYX"), model, CPU, indices=[(2,)], normalisation=known
    )
    np.testing.assert_array_equal(found.labels, expected.labels)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the runner fail as torch does above a number of pixels."""
    genuine = Runner.__call__

    def limit(pixels: int) -> None:
        def call(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
            if block[0].size > pixels:
                raise OutOfMemoryError("not enough GPU memory")
            return genuine(self, block, *wanted)

        monkeypatch.setattr(Runner, "__call__", call)

    return limit


def test_tiles_are_halved_when_memory_runs_out(
    model: Checkpoint, short_of_memory: Callable[[int], None]
):
    image = plane(300, 260)
    config = dataclasses.replace(CPU, tile=256)
    expected = predict(image, model, config)
    short_of_memory(200 * 200)
    events, result = events_of(iter_predict(image, model, config))
    assert len(events) == 4
    assert "halved" in events[0].notes[-1], "reported as soon as it happens"
    assert result.complete
    assert "halved" in result.notes[-1]
    assert_same(result, expected)


@pytest.mark.cpu
def test_the_cpu_takes_over_when_no_tile_fits(
    model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    genuine = Runner.__call__
    calls: list[str] = []

    def call(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
        calls.append(self.device)
        if self.device == "cuda" and len(calls) > 3:
            raise OutOfMemoryError("not enough GPU memory")
        pretended, self.device = self.device, "cpu"
        found = genuine(self, block, *wanted)
        self.device = pretended
        return found

    def pretend(
        checkpoint: Checkpoint, device: str, precision: Precision, **options: bool
    ) -> Runner:
        runner = Runner(checkpoint, "cpu", precision, **options)
        runner.device = "cuda" if device == "auto" else "cpu"
        return runner

    monkeypatch.setattr(Runner, "__call__", call)
    monkeypatch.setattr(Runner, "release_memory", lambda self: None)
    monkeypatch.setattr(RUNNERS, "get", pretend)
    image = plane(200, 200)
    config = PredictConfig(tile=128, probabilities=True)
    result = predict(image, model, config)
    assert result.complete
    assert result.device == "cpu"
    assert "the CPU finished" in result.notes[-1]
    assert calls[:3] == ["cuda"] * 3
    monkeypatch.undo()
    assert_same(result, predict(image, model, WHOLE))


@pytest.mark.cpu
def test_memory_that_is_never_enough_is_an_error(
    model: Checkpoint, short_of_memory: Callable[[int], None]
):
    short_of_memory(10)
    with pytest.raises(OutOfMemoryError):
        predict(plane(200, 200), model, CPU)


def test_a_failure_of_torch_is_an_engine_error(
    model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")

    run = iter_predict(plane(80, 80), model, CPU)
    next(run)
    monkeypatch.setattr(Runner, "__call__", fail)
    with pytest.raises(EngineError, match="CUDNN_STATUS"):
        next(run)


def test_the_plan_describes_what_will_happen(model: Checkpoint):
    plan = plan_prediction(plane(3, 100, 60, axes="ZYX"), model.spec, CPU)
    assert plan.planes == ((0,), (1,), (2,))
    assert plan.total == 3 * 4 * 2
    assert plan.shape == (3, 100, 60)
    assert plan.describe().startswith(
        "3 planes of 100 x 60 pixels, 24 tiles of up to 32 x 32, about "
    )
    megabytes = re.search(r"about (\d+) MB of memory$", plan.describe())
    assert megabytes
    assert int(megabytes[1]) == max(1, round(plan.nbytes / 1e6))
    large = dataclasses.replace(plan, nbytes=2_340_000_000)
    assert large.describe().endswith("about 2.3 GB of memory")
    results = 3 * 100 * 60 * (1 + 2 * 4)
    assert plan.nbytes > results
    without = dataclasses.replace(CPU, probabilities=False)
    smaller = plan_prediction(plane(3, 100, 60, axes="ZYX"), model.spec, without)
    assert plan.nbytes - smaller.nbytes == 3 * 100 * 60 * 2 * 4


def test_predicting_again_gives_the_same(model: Checkpoint):
    image = plane(70, 70)
    first = list(islice(iter_predict(image, model, CPU), 3))
    second = list(islice(iter_predict(image, model, CPU), 3))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


AVERAGED = dataclasses.replace(CPU, average_flips="on")


def mean_by_hand(checkpoint: Checkpoint, image: Image) -> np.ndarray:
    """Predict all flips and turns of a whole plane and turn them back."""
    pixels = image.read((), (slice(None), slice(None)))
    normalisation = Normalisation.measure(image)
    found = []
    for turns in range(4):
        for flip in (False, True):
            seen = np.rot90(pixels, turns, axes=(1, 2))
            seen = seen[:, :, ::-1] if flip else seen
            turned = Image.from_array(np.ascontiguousarray(seen), "CYX")
            result = predict(turned, checkpoint, WHOLE, normalisation=normalisation)
            back = result.probabilities[..., ::-1] if flip else result.probabilities
            found.append(np.rot90(back, -turns, axes=(1, 2)))
    return np.mean(found, axis=0)


@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_mean_over_the_flips_is_that_of_the_flipped_images(
    model: Checkpoint, shape: tuple[int, int]
):
    image = plane(*shape)
    found = predict(image, model, AVERAGED)
    np.testing.assert_allclose(
        found.probabilities, mean_by_hand(model, image), atol=1e-5
    )
    single = predict(image, model, CPU)
    assert np.abs(found.probabilities - single.probabilities).max() > 1e-2


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(depth=2, width=4),
        ModelSpec(architecture="unet-valid", depth=2, width=4),
        ModelSpec(architecture="fcn8s-alexnet", depth=5, width=2, dense_width=4),
    ],
    ids=lambda spec: spec.architecture,
)
def test_mean_over_the_flips_in_tiles_equals_the_whole(
    make_checkpoint: Callable, spec: ModelSpec
):
    checkpoint = make_checkpoint(spec)
    image = plane(75, 101)
    whole = predict(image, checkpoint, dataclasses.replace(AVERAGED, tile=8192))
    assert np.ptp(whole.probabilities[1]) > 0.02
    assert_same(predict(image, checkpoint, AVERAGED), whole)


def test_the_published_unet_takes_the_mean_unless_set_otherwise(
    make_checkpoint: Callable,
):
    spec = ModelSpec(architecture="unet-valid", depth=1, width=2)
    published, usual = make_checkpoint(spec), make_checkpoint(ModelSpec(depth=2))
    image = plane(40, 40)
    for checkpoint, default in (published, "on"), (usual, "off"):
        found = {
            choice: predict(
                image, checkpoint, dataclasses.replace(CPU, average_flips=choice)
            ).probabilities
            for choice in ("auto", "on", "off")
        }
        np.testing.assert_array_equal(found["auto"], found[default])
        assert np.abs(found["on"] - found["off"]).max() > 1e-3


def test_mean_over_the_flips_of_a_volume(make_checkpoint: Callable):
    checkpoint = make_checkpoint(ModelSpec(ndim=3, depth=1, width=2))
    image = plane(3, 21, 33, axes="ZYX")
    whole = predict(image, checkpoint, dataclasses.replace(AVERAGED, tile=8192))
    tiled = predict(image, checkpoint, dataclasses.replace(AVERAGED, tile=64))
    assert_same(tiled, whole)
    # Turned planes in the same order give the turned result, on the pooling grid.
    stack = np.random.default_rng(1).random((2, 16, 16), np.float32)
    one, other = (
        predict(Image.from_array(np.ascontiguousarray(s), "ZYX"), checkpoint, AVERAGED)
        for s in (stack, np.rot90(stack, axes=(1, 2)))
    )
    np.testing.assert_allclose(
        np.rot90(one.probabilities, axes=(2, 3)), other.probabilities, atol=1e-5
    )
