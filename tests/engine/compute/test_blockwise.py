"""Tests of networks in stages: the same as the whole, from just what bears on it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.compute.block_threads import Workers
from unet_engine.compute.blockwise import StagedNetwork, _cuts
from unet_engine.compute.interruption import interruptible
from unet_engine.compute.runner import Runner
from unet_engine.errors import Cancelled, EngineError
from unet_engine.models.networks.stages import needed_regions, pool_maximum
from unet_engine.models.networks.subpixel import SubpixelConvolution
from unet_engine.models.networks.unet_paths import CONVOLUTION, UP_CONVOLUTION
from unet_engine.models.spec import ModelSpec, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

SPECS = {
    "plane": ModelSpec(depth=3, width=4, in_channels=2, classes=("a", "b", "c")),
    "shallow": ModelSpec(depth=1, width=3),
    "volume": ModelSpec(depth=2, width=4, ndim=3),
    "flat volume": ModelSpec(depth=2, width=4, ndim=3, z_poolings=0),
    "autoencoder": ModelSpec(architecture="autoencoder", depth=2, width=4, classes=()),
}


# Random weights make logits of some hundreds, whose last bits differ.
_ROUNDING = 5e-5


def smallest_tile(spec: ModelSpec, inner: tuple[int, ...]) -> tuple[int, ...]:
    footprint = spec.footprint
    return tuple(
        footprint.allowed_size(n + 2 * halo, axis)
        for axis, (n, halo) in enumerate(zip(inner, footprint.halo, strict=True))
    )


def block_and_inner(
    spec: ModelSpec, inner: tuple[int, ...]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    shape = (spec.in_channels, *smallest_tile(spec, inner))
    block = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    wanted = [(h, h + n) for h, n in zip(spec.footprint.halo, inner, strict=True)]
    return block, wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("block_edge", [7, 64])
def test_stages_give_what_the_whole_network_gives(
    make_checkpoint: Callable, name: str, block_edge: int
):
    spec = SPECS[name]
    runner = Runner(make_checkpoint(spec), "cpu")
    assert runner.in_blocks
    runner.block_edge = block_edge
    block, wanted = block_and_inner(spec, (33, 40, 29)[-spec.ndim :])
    whole = runner(block)[(slice(None), *(slice(*interval) for interval in wanted))]
    np.testing.assert_allclose(runner(block, wanted), whole, atol=_ROUNDING)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("block_edge", [7, 64])
def test_stages_pad_at_the_border_as_the_whole_network_does(
    make_checkpoint: Callable, name: str, block_edge: int
):
    spec = SPECS[name]
    checkpoint = make_checkpoint(spec)
    random = np.random.default_rng(4)
    for weights in checkpoint.weights.values():
        if weights.ndim == 1:
            # Of an up-convolution a bias counts only within the image.
            weights += random.uniform(0.2, 0.6, weights.shape).astype(weights.dtype)
    runner = Runner(checkpoint, "cpu")
    runner.block_edge = block_edge
    shape = (16, 48, 32)[-spec.ndim :]
    block = random.normal(size=(spec.in_channels, *shape)).astype(np.float32)
    everything = [(0, size) for size in shape]
    np.testing.assert_allclose(runner(block, everything), runner(block), atol=_ROUNDING)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_stage_reads_beyond_the_halo(data: st.DataObject):
    depth = data.draw(st.integers(1, 5))
    spec = ModelSpec(depth=depth, width=1)
    with torch.device("meta"):
        stages = build(spec).stages()  # type: ignore[operator]
    inner = tuple(data.draw(st.tuples(st.integers(1, 200), st.integers(1, 200))))
    shape = smallest_tile(spec, inner)
    wanted = tuple((h, h + n) for h, n in zip(spec.footprint.halo, inner, strict=True))
    regions = needed_regions(stages, wanted, shape)
    for stage, region in zip(stages, regions[1:], strict=True):
        reads = stage.reads(region)
        for source, read in zip(stage.sources, reads, strict=True):
            for (low, high), (start, stop) in zip(read, regions[source], strict=True):
                assert start <= low < high <= stop, "a stage reads what is unknown"
    assert all(0 <= a < b <= n for (a, b), n in zip(regions[0], shape, strict=True))


def test_a_batch_is_computed_in_stages_too(make_checkpoint: Callable):
    spec = SPECS["plane"]
    runner = Runner(make_checkpoint(spec), "cpu")
    block, wanted = block_and_inner(spec, (20, 24))
    batch = np.stack([block, block[:, ::-1], -block])
    found = runner(batch, wanted)
    for one, alone in zip(batch, found, strict=True):
        np.testing.assert_allclose(runner(one, wanted), alone, atol=_ROUNDING)


def test_the_memory_of_one_tile_serves_the_next_and_is_given_back(
    make_checkpoint: Callable,
):
    spec = SPECS["plane"]
    runner = Runner(make_checkpoint(spec), "cpu")
    staged = runner._staged
    assert staged is not None
    large, wanted = block_and_inner(spec, (64, 64))
    first = runner(large, wanted)
    kept = {number: known.data_ptr() for number, known in staged._memory.items()}
    copy = first.copy()
    small, part = block_and_inner(spec, (20, 24))
    runner(small, part)
    runner(large, wanted)
    assert {n: known.data_ptr() for n, known in staged._memory.items()} == kept
    np.testing.assert_array_equal(first, copy)
    runner.release_memory()
    assert not staged._memory


def test_two_threads_can_use_one_runner(make_checkpoint: Callable):
    spec = SPECS["plane"]
    runner = Runner(make_checkpoint(spec), "cpu")
    block, wanted = block_and_inner(spec, (64, 64))
    blocks = [block, -block]
    expected = [runner(b, wanted) for b in blocks]
    found: dict[int, list[np.ndarray]] = {0: [], 1: []}

    def predict(number: int) -> None:
        for _ in range(5):
            found[number].append(runner(blocks[number], wanted))

    threads = [threading.Thread(target=predict, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, results in found.items():
        assert len(results) == 5
        for result in results:
            np.testing.assert_array_equal(result, expected[number])


@pytest.mark.cpu
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_convolution_sees_its_channels_side_by_side(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch, ndim: int
):
    strides: list[int] = []
    real = torch.mkldnn_convolution

    def convolve(values: torch.Tensor, *others: Any) -> torch.Tensor:
        strides.append(values.stride(1))
        return real(values, *others)

    monkeypatch.setattr(torch, "mkldnn_convolution", convolve)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    spec = ModelSpec(depth=1, width=4, ndim=ndim, in_channels=1)
    runner = Runner(make_checkpoint(spec), "cpu")
    runner(*block_and_inner(spec, (16, 16, 16)[:ndim]))
    # Planar maps would be turned around before every layer.
    assert set(strides) == {1}


def test_what_a_smaller_halo_lacks_counts_as_nothing(make_checkpoint: Callable):
    spec = SPECS["plane"]
    runner = Runner(make_checkpoint(spec), "cpu")
    block, wanted = block_and_inner(spec, (32, 32))
    exact = runner(block, wanted)
    cut = spec.footprint.divisor[0]
    smaller = block[:, cut:-cut, cut:-cut]
    near = [(start - cut, stop - cut) for start, stop in wanted]
    found = runner(smaller, near)
    assert found.shape == exact.shape
    # What is gone bears on the border of the tile, if at all.
    assert np.abs(found - exact)[:, 12:-12, 12:-12].max() < 0.05
    assert np.abs(found - exact).max() > 0


@pytest.mark.parametrize("strides", [(2, 2), (1, 2), (1, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize("beside", [0, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_a_subpixel_convolution_is_the_three_layers_in_one(
    strides: tuple[int, ...], beside: int, bias: bool
):
    axes = len(strides)
    up = UP_CONVOLUTION[axes](5, 4, strides, stride=strides)
    convolution = CONVOLUTION[axes](beside + 4, 2, 3, bias=bias)
    below = torch.randn(2, 5, *(6, 5, 4)[:axes])
    with torch.inference_mode():
        upsampled = up(below)
        skip = torch.randn(2, beside, *upsampled.shape[2:])
        expected = convolution(torch.cat((skip, upsampled), dim=1))
        merged = SubpixelConvolution(up, convolution)
        assert merged.joins == bool(beside)
        found = merged(below, skip) if beside else merged(below)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@given(
    interval=st.tuples(st.integers(0, 50), st.integers(1, 300)),
    count=st.integers(1, 9),
    step=st.integers(1, 2),
)
@settings(max_examples=60, deadline=None)
def test_blocks_cover_a_region_once_and_begin_on_the_grid(
    interval: tuple[int, int], count: int, step: int
):
    start, size = interval
    cuts = _cuts((start, start + size), count, step)
    assert [n for cut in cuts for n in range(*cut)] == list(range(start, start + size))
    assert all(low < high for low, high in cuts)
    assert all(low % step == 0 for low, _ in cuts[1:])


@pytest.mark.parametrize("strides", [(2, 2), (1, 2, 2), (3, 2)])
def test_the_maximum_of_neighbours_is_that_of_torch(strides: tuple[int, ...]):
    pool = {2: torch.nn.functional.max_pool2d, 3: torch.nn.functional.max_pool3d}
    values = torch.randn(2, 3, *(6 * s for s in strides))
    expected = pool[len(strides)](values, strides)
    assert torch.equal(pool_maximum(values, strides), expected)


def test_workers_leave_the_threads_of_others_alone(monkeypatch: pytest.MonkeyPatch):
    before = torch.get_num_threads()
    workers = Workers(2)
    inside: list[int] = []
    workers.map(lambda _: inside.append(torch.get_num_threads()), range(4))
    assert inside == [1, 1, 1, 1]
    assert torch.get_num_threads() == before
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]


def test_a_stop_takes_effect_between_two_blocks():
    workers = Workers(1)
    done: list[int] = []

    def work(part: int) -> None:
        time.sleep(0.002)
        done.append(part)

    with (
        pytest.raises(Cancelled),
        interruptible(lambda: len(done) >= 2),
    ):
        workers.map(work, range(200))
    assert 2 <= len(done) < 200


def test_a_failure_in_a_block_is_raised_and_the_others_end(
    make_checkpoint: Callable[[ModelSpec], Checkpoint], monkeypatch: pytest.MonkeyPatch
):
    spec = SPECS["plane"]
    runner = Runner(make_checkpoint(spec), "cpu")
    block, wanted = block_and_inner(spec, (64, 64))
    runner.block_edge = 16
    expected = runner(block, wanted)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a primitive could not be made")

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "softmax", fail)
        with pytest.raises(EngineError, match="a primitive could not be made"):
            runner(block, wanted)
    np.testing.assert_array_equal(runner(block, wanted), expected)


def test_networks_that_are_not_padded_run_whole(make_checkpoint: Callable):
    spec = ModelSpec.for_architecture("unet-valid", depth=1, width=2)
    runner = Runner(make_checkpoint(spec), "cpu")
    assert StagedNetwork.of(runner._network, "cpu") is None
    block, wanted = block_and_inner(spec, (10, 12))
    np.testing.assert_array_equal(runner(block, wanted), runner(block)[:, :10, :12])


@pytest.mark.parametrize("name", ["plane", "volume"])
def test_a_processor_without_a_library_for_convolutions_gives_the_same(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch, name: str
):
    spec = SPECS[name]
    runner = Runner(make_checkpoint(spec), "cpu")
    block, wanted = block_and_inner(spec, (20, 21, 22)[-spec.ndim :])
    expected = runner(block, wanted)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    np.testing.assert_allclose(runner(block, wanted), expected, atol=_ROUNDING)
