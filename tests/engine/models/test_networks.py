"""The contract that every network of the table keeps, and what its paper publishes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from unet_engine.errors import SpecError
from unet_engine.images import Image
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.fcn_trunks import FCN_FORMS
from unet_engine.models.spec import ARCHITECTURES, ModelSpec, build
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.tiling.tiles import TilePlan, read_reflected
from unet_engine.training.losses import masked_cross_entropy, masked_dice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL = {
    "unet": {"depth": 2, "width": 4},
    "unet-valid": {"depth": 2, "width": 4},
    "unet3d-valid": {"depth": 1, "width": 2},
    "autoencoder": {"depth": 2, "width": 4},
} | {name: {"width": 2, "dense_width": 8} for name in FCN_FORMS}

# Volumes take long: one level is enough to check what holds for any.
FLAT = {2: {}, 3: {"depth": 1}}

SPECS = {
    f"{name}-{ndim}d": ModelSpec.for_architecture(
        name, ndim=ndim, **(SMALL[name] | FLAT[ndim])
    )
    for name, row in ARCHITECTURES.items()
    for ndim in row.ndims
} | {
    "unet-anisotropic": ModelSpec(ndim=3, depth=2, width=2, z_poolings=1),
    "unet-flat": ModelSpec(ndim=3, depth=1, width=4, z_poolings=0),
    "unet3d-valid-anisotropic": ModelSpec(
        architecture="unet3d-valid", ndim=3, depth=2, width=2, z_poolings=1
    ),
}

every_network = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def network_of(spec: ModelSpec, seed: int = 0) -> nn.Module:
    """Build a network whose every layer matters: no weight is left at zero."""
    torch.manual_seed(seed)
    network = build(spec).eval()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return network


def shape_for(spec: ModelSpec, least: int = 1) -> tuple[int, ...]:
    """Return the smallest input that leaves an output of at least ``least`` pixels."""
    footprint = spec.footprint
    taken = 0 if ARCHITECTURES[spec.architecture].padded else 2
    return tuple(
        footprint.allowed_size(least + taken * halo, axis)
        for axis, halo in enumerate(footprint.halo)
    )


def run_tiles(
    network: nn.Module, spec: ModelSpec, image: np.ndarray, tile: int | tuple[int, ...]
) -> np.ndarray:
    """Predict ``(C, *spatial)`` float64 in tiles; return the logits."""
    shape = image.shape[1:]
    plan = TilePlan.for_shape(shape, tile=tile, footprint=spec.footprint)
    found = np.full((spec.out_channels, *shape), np.nan)
    for part in plan:
        block = read_reflected(lambda r: image[(slice(None), *r)], part.outer, shape)
        with torch.no_grad():
            logits = network(torch.from_numpy(block)[None])[0].numpy()
        local = part.local_slices(logits.shape[1:])
        found[(slice(None), *part.inner_slices)] = logits[(slice(None), *local)]
    return found


@every_network
def test_output_is_as_large_as_the_image_after_padding(spec: ModelSpec):
    shape = (3, 21, 34)[-spec.ndim :]
    image = np.random.default_rng(0).random((spec.in_channels, *shape))
    found = run_tiles(network_of(spec).double(), spec, image, tile=8192)
    assert found.shape == (2, *shape)
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0


@every_network
def test_tiles_equal_the_whole_to_the_last_digit(spec: ModelSpec):
    # Positive weights let every input pixel through to every output that looks at
    # it: context that is missing anywhere in the receptive field shows.
    network = network_of(spec).double()
    for name, parameter in network.named_parameters():
        parameter.data.abs_()
        if name.startswith("features."):
            parameter.data /= parameter[0].numel()
    shape = (6, 24, 40)[-spec.ndim :]
    image = np.random.default_rng(1).random((spec.in_channels, *shape))
    whole = run_tiles(network, spec, image, tile=8192)
    tiled = run_tiles(network, spec, image, tile=(4, 16, 32)[-spec.ndim :])
    np.testing.assert_allclose(tiled, whole, rtol=1e-9)
    assert np.ptp(whole) > 1e-6 * np.abs(whole).max()


@every_network
def test_no_pixel_depends_on_input_beyond_the_halo(spec: ModelSpec):
    network = network_of(spec).double()
    for module in network.modules():
        # An average depends on all that a maximum may depend on.
        for name, child in module.named_children():
            if isinstance(child, (nn.MaxPool2d, nn.MaxPool3d)):
                kind = nn.AvgPool2d if spec.ndim == 2 else nn.AvgPool3d
                pool = kind(child.kernel_size, child.stride, child.padding)
                setattr(module, name, pool)
    for parameter in network.parameters():
        parameter.data.abs_()
    for axis in range(spec.ndim):
        assert_stays_in_outer(network, spec, axis)


def assert_stays_in_outer(network: nn.Module, spec: ModelSpec, axis: int) -> None:
    """Return which input pixels the inner region of a tile has a gradient to."""
    halo, divisor = spec.footprint.halo[axis], spec.footprint.divisor[axis]
    inner = divisor + 1
    outer = spec.footprint.allowed_size(inner + 2 * halo, axis)
    # A tile of a padded network begins on its grid.
    margin = 2 * divisor
    shape = list(shape_for(spec))
    shape[axis] = outer + 2 * margin
    x = torch.rand(1, spec.in_channels, *shape).double().requires_grad_()
    output = network(x)
    lost = (shape[axis] - output.shape[axis + 2]) // 2
    output.narrow(axis + 2, margin + halo - lost, inner).sum().backward()
    looked = x.grad.movedim(axis + 2, 0).flatten(1).any(dim=1).nonzero()
    assert looked.min() >= margin
    assert looked.max() < margin + outer
    # And not much is read for nothing.
    assert looked.max() - looked.min() + 1 > outer - 3 * divisor


@every_network
def test_tiles_saving_and_loading_do_not_change_a_prediction(
    make_checkpoint: Callable, tmp_path: Path, spec: ModelSpec
):
    checkpoint = make_checkpoint(spec)
    for values in checkpoint.weights.values():
        if not values.any():
            values[...] = np.random.default_rng(2).normal(0, 0.3, values.shape)
    checkpoint.save(tmp_path / "model.safetensors")
    loaded = Checkpoint.load(tmp_path / "model.safetensors")
    shape = (3, 40, 70)[-spec.ndim :]
    image = Image.from_array(
        np.random.default_rng(3).random(shape).astype(np.float32), "ZYX"[-spec.ndim :]
    )
    whole = PredictConfig(device="cpu", tile=8192, probabilities=True)
    tiles = PredictConfig(device="cpu", tile=32, probabilities=True)
    expected = predict(image, checkpoint, whole).probabilities
    assert expected is not None
    assert np.ptp(expected) > 1e-3
    np.testing.assert_array_equal(predict(image, loaded, whole).probabilities, expected)
    np.testing.assert_allclose(
        predict(image, checkpoint, tiles).probabilities, expected, atol=1e-4
    )


@every_network
def test_gradients_reach_every_parameter(spec: ModelSpec):
    network = network_of(spec)
    x = torch.rand(2, spec.in_channels, *shape_for(spec, 32 if spec.ndim == 2 else 8))
    network(x).square().mean().backward()
    without = [n for n, p in network.named_parameters() if not p.grad.any()]
    assert not without


@every_network
def test_a_pixel_nobody_labelled_has_no_gradient(spec: ModelSpec):
    if spec.ndim == 3:
        loss_of = masked_cross_entropy
    else:
        loss_of = lambda a, b: masked_cross_entropy(a, b) + masked_dice(a, b)  # noqa: E731
    network = network_of(spec)
    logits = network(torch.rand(1, spec.in_channels, *shape_for(spec, 8)))
    logits.retain_grad()
    target = torch.full((1, *logits.shape[2:]), IGNORE)
    target[..., :3] = torch.randint(0, 2, target[..., :3].shape)
    loss_of(logits, target).backward()
    assert logits.grad[..., :3].all()
    assert not logits.grad[..., 3:].any()


@every_network
def test_input_that_does_not_fit_is_refused_with_a_size_that_does(spec: ModelSpec):
    network = build(spec)
    fitting = shape_for(spec, 8)
    wrong = (*fitting[:-1], fitting[-1] + 1)
    with pytest.raises(SpecError, match=f"{fitting[-1]} or .* instead of {wrong[-1]}"):
        network(torch.zeros(1, spec.in_channels, *wrong))
    spec.check_input(fitting)
    if min(spec.footprint.divisor) > 1:
        with pytest.raises(SpecError, match="use "):
            spec.check_input((1,) * spec.ndim)


ROWS = {key: SPECS[key] for key in SPECS if key.endswith(("-2d", "-3d"))}
FAST = ("unet-2d", "unet-valid-2d", "autoencoder-2d")


def assert_overfits(spec: ModelSpec, *, edge: int, steps: int) -> None:
    """Learn one noisy image by heart: a bright square on a dark ground."""
    torch.manual_seed(1)
    network = build(spec).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    shape = shape_for(spec, edge)
    square = slice(shape[-1] // 2 - edge // 4, shape[-1] // 2 + edge // 4)
    truth = torch.zeros(shape, dtype=torch.long)
    truth[..., square, square] = 1
    x = (truth + 0.3 * torch.randn(shape))[None, None]
    with torch.no_grad():
        size = network(x).shape[2:]
    target = truth[None]
    for axis, (whole, kept) in enumerate(zip(shape, size, strict=True), start=1):
        target = target.narrow(axis, (whole - kept) // 2, kept)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        logits = network(x)
        masked_cross_entropy(logits, target).backward()
        optimiser.step()
    found = logits.argmax(dim=1)
    assert (found & target).sum() / (found | target).sum() > 0.9


@pytest.mark.parametrize("key", FAST)
def test_overfits_one_image(key: str):
    assert_overfits(ROWS[key], edge=64, steps=60)


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in ROWS if key not in FAST])
def test_every_other_network_overfits_one_image(key: str):
    spec = ROWS[key]
    if spec.architecture in FCN_FORMS:
        spec = dataclasses.replace(spec, width=8, dense_width=64)
    assert_overfits(spec, edge=128 if spec.ndim == 2 else 16, steps=200)


def on_meta(name: str, **values: object) -> nn.Module:
    with torch.device("meta"):
        return build(ModelSpec.for_architecture(name, **values))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_size_network_can_be_built_and_run(name: str):
    spec = ModelSpec.for_architecture(name)
    network = on_meta(name)
    with torch.device("meta"):
        output = network(torch.empty(1, 1, *shape_for(spec, 32)))
    assert output.shape[1] == 2
    assert min(output.shape[2:]) >= 32
    assert ARCHITECTURES[name].title
    assert ARCHITECTURES[name].reference


def test_unet_has_the_published_sizes_and_parameters():
    network = on_meta("unet-valid")
    assert network(torch.empty(1, 1, 572, 572, device="meta")).shape[2:] == (388, 388)
    assert count(network) == 31_030_658
    footprint = ModelSpec.for_architecture("unet-valid").footprint
    assert (footprint.halo, footprint.remainder) == ((92, 92), (12, 12))


def test_unet_3d_has_the_published_sizes_and_parameters():
    network = on_meta("unet3d-valid", in_channels=3, classes=("a", "b", "c"))
    volume = torch.empty(1, 3, 116, 132, 132, device="meta")
    assert network(volume).shape[2:] == (28, 44, 44)
    convolutions = [m for m in network.modules() if not isinstance(m, nn.BatchNorm3d)]
    weights = [p for m in convolutions for p in m.parameters(recurse=False)]
    assert sum(p.numel() for p in weights) == 19_069_955


@pytest.mark.parametrize(
    ("name", "millions"), [("fcn32s-vgg16", 134.3), ("fcn32s-alexnet", 57.1)]
)
def test_fcn_has_the_published_parameters(name: str, millions: float):
    classes = tuple(f"class {i}" for i in range(21))
    network = on_meta(name, in_channels=3, classes=classes)
    assert round(count(network) / 1e6, 1) == millions


def test_unet_weights_start_as_he_initialisation():
    torch.manual_seed(0)
    network = build(ModelSpec(architecture="unet-valid", width=64, depth=1))
    second = network.down[0][2].weight
    assert second.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    up = network.up[0].weight
    assert up.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.02)


def test_dropout_ends_the_contracting_path_only():
    network = build(ModelSpec(architecture="unet-valid", width=4, depth=4))
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Dropout)]
    assert names == ["down.3.4", "down.4.4"]


@pytest.mark.parametrize(("z_poolings", "divisor"), [(None, 8), (3, 8), (1, 2), (0, 1)])
def test_thin_stacks_are_pooled_less_along_z(z_poolings: int | None, divisor: int):
    spec = ModelSpec(ndim=3, depth=3, width=2, z_poolings=z_poolings)
    assert spec.footprint.divisor == (divisor, 8, 8)
    assert build(spec)(torch.zeros(1, 1, divisor, 16, 8)).shape[2:] == (divisor, 16, 8)


def test_names_of_the_weights_are_stable():
    names = list(on_meta("unet", depth=1, width=2).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block = ["0.weight", *(f"1.{n}" for n in norm), "3.weight"]
    block += [f"4.{n}" for n in norm]
    expected = [f"{part}.{n}" for part in ("down.0", "down.1") for n in block]
    expected += ["up.0.weight", "up.0.bias"] + [f"merge.0.{n}" for n in block]
    assert names == [*expected, "head.weight", "head.bias"]
    assert list(on_meta("autoencoder", depth=1, width=2).state_dict()) == names


def test_names_of_the_weights_of_an_fcn_are_torchvisions_and_ours():
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    parts = [f"features.{i}" for i in convolutions]
    parts += ["fc6", "fc7", "score", "skip_scores.0", "skip_scores.1"]
    expected = [f"{p}.{kind}" for p in parts for kind in ("weight", "bias")]
    expected += ["upsamplings.0.weight", "upsamplings.1.weight"]
    assert list(on_meta("fcn8s-vgg16", width=2).state_dict()) == expected


def test_an_autoencoder_without_classes_returns_an_image():
    spec = ModelSpec(
        architecture="autoencoder", classes=(), in_channels=3, depth=2, width=4
    )
    assert build(spec)(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)
    assert ModelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "segnet"}, "choose one of autoencoder, fcn16s-alexnet"),
        ({"architecture": "fcn8s-vgg16", "depth": 5, "ndim": 3}, "use ndim 2, or one"),
        ({"architecture": "fcn8s-vgg16", "depth": 4}, "use depth 5 instead of 4"),
        ({"architecture": "unet-valid", "ndim": 3}, "unet3d-valid"),
        ({"architecture": "unet", "classes": ("a",)}, "needs 2 to 254 classes"),
        ({"depth": 9}, "from 1 to 8"),
        ({"depth": 8, "width": 512}, "use width 16 or less and depth 4"),
        ({"z_poolings": 1}, "use ndim 3"),
        ({"ndim": 3, "z_poolings": 5}, "from 0 to 4"),
        ({"dense_width": 0}, "from 1 to 8192"),
    ],
)
def test_a_spec_that_cannot_be_built_is_refused(values: dict, message: str):
    with pytest.raises(SpecError, match=message):
        ModelSpec(**values)
