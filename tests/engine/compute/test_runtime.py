"""Tests of devices, the runner, and torch's errors in words."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.compute import devices, runner
from unet_engine.compute.devices import choose_device
from unet_engine.compute.loading import load_network
from unet_engine.compute.runner import RUNNERS, Runner
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import CheckpointError, EngineError, OutOfMemoryError
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

SMALL = ModelSpec(depth=2, width=4, in_channels=2, classes=("a", "b", "c"))


def test_auto_takes_the_first_device_that_works(monkeypatch: pytest.MonkeyPatch):
    for working, chosen in ({"cuda", "mps"}, "cuda"), ({"mps"}, "mps"), (set(), "cpu"):
        monkeypatch.setattr(devices, "_works", working.__contains__)
        assert choose_device("auto") == chosen


def test_an_absent_device_is_refused_with_those_present(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(devices, "_works", {"mps"}.__contains__)
    with pytest.raises(EngineError, match=r"'cuda' is not usable.*auto or cpu or mps"):
        choose_device("cuda")
    with pytest.raises(EngineError, match="no device 'tpu'"):
        choose_device("tpu")  # type: ignore[arg-type]


def test_a_gpu_that_fails_its_probe_does_not_work(monkeypatch: pytest.MonkeyPatch):
    class Broken:
        @staticmethod
        def is_available() -> bool:
            return True

    def fail(*_: object) -> None:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "cuda", Broken)
    monkeypatch.setattr(torch.nn.Module, "to", fail)
    assert devices._works.__wrapped__("cuda") is False


def test_the_runner_computes_the_softmax_of_the_network(make_checkpoint: Callable):
    checkpoint = make_checkpoint(SMALL)
    block = np.random.default_rng(1).normal(size=(3, 2, 32, 40)).astype(np.float32)
    network = load_network(checkpoint).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(block)).softmax(dim=1).numpy()
    runner = Runner(checkpoint, "cpu")
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in runner._network.modules()
    )
    batch = runner(block)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, expected, atol=1e-5)
    np.testing.assert_allclose(runner(block[1]), expected[1], atol=1e-5)


def test_the_runner_takes_arrays_that_are_read_only_or_strided(
    make_checkpoint: Callable,
):
    runner = Runner(make_checkpoint(SMALL), "cpu")
    block = np.random.default_rng(1).normal(size=(16, 16, 2)).astype(np.float32)
    block.flags.writeable = False
    strided = block.transpose(2, 0, 1)
    np.testing.assert_array_equal(runner(strided), runner(strided.copy()))


@pytest.mark.parametrize("shape", [(3, 16, 16), (16, 16), (1, 2, 2, 16, 16)])
def test_a_block_that_does_not_fit_is_refused(
    make_checkpoint: Callable, shape: tuple[int, ...]
):
    with pytest.raises(EngineError, match="does not fit a network for 2 channels"):
        Runner(make_checkpoint(SMALL), "cpu")(np.zeros(shape, np.float32))


def test_loading_leaves_the_random_numbers_alone(make_checkpoint: Callable):
    checkpoint = make_checkpoint(SMALL)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_network(checkpoint)
    assert torch.equal(torch.rand(2), expected)


def altered(checkpoint: Checkpoint, change: str) -> Checkpoint:
    weights = dict(checkpoint.weights)
    if change == "missing":
        del weights["head.weight"]
    elif change == "extra":
        weights["tail.weight"] = np.zeros(3, np.float32)
    elif change == "shape":
        weights["head.weight"] = np.zeros((7, 4, 1, 1), np.float32)
    else:
        spec = dataclasses.replace(checkpoint.spec, width=32, depth=3)
        return dataclasses.replace(checkpoint, spec=spec)
    return dataclasses.replace(checkpoint, weights=weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "no tensor 'head.weight'"),
        ("extra", "a tensor 'tail.weight'"),
        ("shape", r"'head.weight' of shape \(7, 4, 1, 1\) instead of \(3, 4, 1, 1\)"),
        ("spec", r"'down.0.0.weight' of shape \(4, 2, 3, 3\) instead of \(32, 2"),
    ],
)
def test_weights_that_are_not_those_of_the_spec_are_refused(
    make_checkpoint: Callable, change: str, message: str
):
    with pytest.raises(CheckpointError, match=message):
        Runner(altered(make_checkpoint(SMALL), change), "cpu")


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemoryError, "GPU memory"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            OutOfMemoryError,
            "not enough CPU memory; use smaller tiles",
        ),
        (MemoryError("Unable to allocate 9 TiB"), OutOfMemoryError, "9 TiB"),
        (RuntimeError("cuDNN error\nlong text"), EngineError, "cuDNN error; if"),
    ],
)
def test_errors_of_torch_become_the_engines_own(
    error: BaseException, expected: type[EngineError], message: str
):
    with pytest.raises(expected, match=message) as caught, translated_errors():
        raise error
    assert type(caught.value) is expected
    assert "\n" not in str(caught.value)


def test_an_impossible_allocation_is_out_of_memory():
    with pytest.raises(OutOfMemoryError, match="CPU memory"), translated_errors():
        torch.empty(2**60, dtype=torch.uint8)


def test_the_last_runner_is_kept(make_checkpoint: Callable):
    one, other = make_checkpoint(SMALL), make_checkpoint(SMALL)
    first = RUNNERS.get(one, "cpu")
    assert RUNNERS.get(one, "cpu") is first
    assert RUNNERS.get(other, "cpu") is not first
    assert RUNNERS.get(one, "cpu") is not first


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)


def test_training_takes_half_of_the_bits_only_where_that_is_native(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in "_is_avx512_bf16_supported", "_is_amx_tile_supported":
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert devices.training_precision("cpu") == torch.float32
    assert devices.training_precision("mps") == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert devices.training_precision("cpu") == torch.bfloat16
    assert devices.training_precision("mps") == torch.float32
    pretend_gpu(monkeypatch, (8, 0))
    assert devices.training_precision("cuda") == torch.bfloat16
    pretend_gpu(monkeypatch, (7, 5))
    assert devices.training_precision("cuda") == torch.float32
    for name in "_is_avx512_bf16_supported", "_is_amx_tile_supported":
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert devices.training_precision("cpu") == torch.float32


def test_prediction_takes_half_of_the_bits_only_where_it_is_requested_and_native(
    monkeypatch: pytest.MonkeyPatch,
):
    for capability, chosen in (
        ((9, 0), torch.bfloat16),
        ((7, 5), torch.float16),
        ((6, 1), torch.float32),
    ):
        pretend_gpu(monkeypatch, capability)
        assert devices.prediction_precision("cuda", "full") == torch.float32
        assert devices.prediction_precision("cuda", "half") == chosen
    assert devices.prediction_precision("mps", "half") == torch.float32


@pytest.mark.parametrize(
    "spec",
    [
        SMALL,
        ModelSpec(depth=1, width=4, ndim=3),
        ModelSpec.for_architecture("unet-valid", depth=1, width=4),
        ModelSpec(architecture="autoencoder", depth=1, width=4, classes=()),
    ],
    ids=["stages", "volume", "whole", "image"],
)
def test_half_of_the_bits_give_nearly_the_same(
    make_checkpoint: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
    spec: ModelSpec,
):
    monkeypatch.setattr(
        runner,
        "prediction_precision",
        lambda _, precision: torch.bfloat16 if precision == "half" else torch.float32,
    )
    # Processors that are not made for it compute it, too, by torch's own loops.
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    checkpoint = make_checkpoint(spec)
    halo = spec.footprint.halo
    inner = [(h, h + 12) for h in halo]
    shape = [
        stop - start for start, stop in spec.footprint.around([(0, 12)] * len(halo))
    ]
    block = np.random.default_rng(0).random((spec.in_channels, *shape), np.float32)
    full = RUNNERS.get(checkpoint, "cpu")(block, inner)
    chosen = RUNNERS.get(checkpoint, "cpu", "half")
    assert RUNNERS.get(checkpoint, "cpu", "half") is chosen
    half = chosen(block, inner)
    assert half.dtype == np.float32
    difference = np.abs(half - full).max() / max(1.0, np.abs(full).max())
    assert 0 < difference < 0.1


@pytest.mark.slow
def test_a_model_is_loaded_without_the_compiler_of_pytorch():
    """It would load triton, which crashes where Mesa draws the window."""
    code = """
import sys
from unet_engine.compute.loading import folded_network
from unet_engine.models.store import ModelStore
folded_network(ModelStore().load("nuclei"))
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
