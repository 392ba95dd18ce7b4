"""Upsampling, alignment and staged training of FCNs; classifiers made convolutional."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from unet_engine.errors import SpecError
from unet_engine.models.fcn_trunks import FCN_FORMS, TRUNKS, Trunk, fcn_upsamplings
from unet_engine.models.networks.fcn import BilinearUpsampling
from unet_engine.models.networks.fcn_backbones import convolutionalise, make_trunk
from unet_engine.models.receptive_fields import Layer, Upsampling
from unet_engine.models.spec import ModelSpec, build
from unet_engine.models.weight_transfer import (
    adapt_first_convolution,
    imagenet_start,
    staged_weights,
    warm_start,
)

every_trunk = pytest.mark.parametrize("trunk", TRUNKS)


def tiny(name: str, **values: object) -> ModelSpec:
    small = {"width": 2, "dense_width": 8} if name in FCN_FORMS else {}
    return ModelSpec.for_architecture(name, **{**small, **values})


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: t.numpy().copy() for name, t in network.state_dict().items()}


def load(spec: ModelSpec, weights: dict[str, np.ndarray]) -> nn.Module:
    network = build(spec)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    return network.eval()


def trained(name: str) -> dict[str, np.ndarray]:
    """Return random weights, the scores too, as if they had been trained."""
    torch.manual_seed(3)
    network = build(tiny(name))
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return weights_of(network)


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_upsampling_starts_as_bilinear_interpolation(stride: int, learned: bool):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 5)
    placement = Upsampling(2 * stride, stride, crop=stride // 2)
    found = BilinearUpsampling(3, placement, learned=learned)(x)
    expected = functional.interpolate(
        x, scale_factor=stride, mode="bilinear", align_corners=False
    )
    inside = (..., slice(stride, -stride), slice(stride, -stride))
    torch.testing.assert_close(found[inside], expected[inside])
    assert found.shape == expected.shape


@pytest.mark.parametrize("name", FCN_FORMS)
def test_maps_of_every_stride_lie_on_each_other(name: str):
    # A network of averages returns the position of what it saw: each of its summed
    # maps must return the position of the very pixel.
    form = FCN_FORMS[name]
    network = build(tiny(name, width=1)).double().eval()
    network.standardise = nn.Identity()
    for index, layer in enumerate(network.features):
        if isinstance(layer, nn.MaxPool2d):
            network.features[index] = nn.AvgPool2d(
                layer.kernel_size, layer.stride, layer.padding
            )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            nn.init.zeros_(layer.bias)
    columns = torch.arange(704.0).double().expand(1, 1, 704, -1)
    middle = (0, slice(None), slice(310, 390), slice(310, 390))
    expected = (1 + len(form.skip_strides)) * columns[middle].expand(2, -1, -1)
    torch.testing.assert_close(network(columns)[middle], expected)
    torch.testing.assert_close(network(columns.mT)[middle], expected.mT)


@every_trunk
def test_fcn_8s_with_zero_skips_is_fcn_32s_upsampled_in_three_steps(trunk: str):
    coarse = trained(f"fcn32s-{trunk}")
    finest = load(
        tiny(f"fcn8s-{trunk}"), staged_weights(coarse, tiny(f"fcn8s-{trunk}"))
    )
    coarsest = load(tiny(f"fcn32s-{trunk}"), coarse)
    maps: list[torch.Tensor] = []
    coarsest.score.register_forward_hook(lambda *call: maps.append(call[2]))
    x = torch.rand(1, 1, 96, 64)
    with torch.no_grad():
        coarsest(x)
        expected = maps[0]
        for step in fcn_upsamplings(FCN_FORMS[f"fcn8s-{trunk}"]):
            expected = BilinearUpsampling(2, step, learned=False)(expected)
        torch.testing.assert_close(finest(x), expected)
    assert expected.std() > 0.01


@every_trunk
def test_stages_carry_over_all_that_was_learned(trunk: str):
    coarse = trained(f"fcn32s-{trunk}")
    middle = staged_weights(coarse, tiny(f"fcn16s-{trunk}"))
    for values in middle.values():
        values[...] += 1
    fine = staged_weights(middle, tiny(f"fcn8s-{trunk}"))
    load(tiny(f"fcn8s-{trunk}"), fine)
    for name, values in middle.items():
        np.testing.assert_array_equal(fine[name], values)
    assert sorted(set(fine) - set(middle)) == [
        "skip_scores.1.bias",
        "skip_scores.1.weight",
        "upsamplings.1.weight",
    ]
    assert not fine["skip_scores.1.weight"].any()


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("fcn8s-vgg16", "fcn16s-vgg16", "train fcn32s-vgg16"),
        ("fcn16s-vgg16", "fcn16s-vgg16", "train fcn32s-vgg16"),
        ("fcn32s-alexnet", "fcn16s-vgg16", "train fcn32s-vgg16"),
        ("fcn16s-vgg16", "fcn32s-vgg16", "no coarser network"),
        ("unet", "fcn8s-vgg16", "train fcn16s-vgg16"),
        ("fcn32s-vgg16", "unet", "no coarser network"),
    ],
)
def test_stages_refuse_what_does_not_fit(source: str, target: str, message: str):
    spec = tiny(source, depth=1) if source == "unet" else tiny(source)
    with pytest.raises(SpecError, match=message):
        staged_weights(weights_of(build(spec)), tiny(target))


def test_stages_refuse_other_classes():
    target = tiny("fcn16s-vgg16", classes=("a", "b", "c"))
    with pytest.raises(SpecError, match="3 classes"):
        staged_weights(trained("fcn32s-vgg16"), target)


def classifier_of(trunk: Trunk, width: int, dense: int, classes: int) -> nn.Sequential:
    inputs = width * trunk.channels * trunk.dense.kernel**2
    return nn.Sequential(
        nn.Linear(inputs, dense),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(dense, dense),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(dense, classes),
    ).eval()


def unpadded(trunk: Trunk) -> Trunk:
    layers = tuple(
        dataclasses.replace(
            layer, shape=Layer(layer.shape.kernel, layer.shape.stride, 0)
        )
        for layer in trunk.layers
    )
    return dataclasses.replace(trunk, layers=layers)


@pytest.mark.parametrize(("name", "patch"), [("vgg16", 404), ("alexnet", 355)])
def test_dense_map_equals_the_classifier_slid_over_patches(name: str, patch: int):
    # Padding shows a patch other surroundings than its image has, so the equality
    # holds for patches of a trunk without it.
    torch.manual_seed(0)
    trunk = unpadded(TRUNKS[name])
    features = make_trunk(trunk, 3, 1)
    classifier = classifier_of(trunk, width=1, dense=16, classes=5)
    image = torch.rand(1, 3, patch + 32, patch + 64)
    with torch.no_grad():
        found = convolutionalise(features, classifier, trunk.dense.kernel)(image)
        assert found.shape == (1, 5, 2, 3)
        for y, x in np.ndindex(2, 3):
            part = image[..., 32 * y : 32 * y + patch, 32 * x : 32 * x + patch]
            expected = classifier(features(part).flatten(1))
            torch.testing.assert_close(found[..., y, x], expected)
    assert found.std() > 1e-3


@every_trunk
def test_dense_map_equals_the_classifier_slid_over_features(trunk: str):
    torch.manual_seed(1)
    layers = TRUNKS[trunk]
    window = layers.dense.kernel
    features = make_trunk(layers, 1, 2)
    classifier = classifier_of(layers, width=2, dense=16, classes=3)
    image = torch.rand(1, 1, 320, 288)
    with torch.no_grad():
        cells = features(image)
        found = convolutionalise(features, classifier, window)(image)
        assert found.shape[2:] == (11 - window, 10 - window)
        for y, x in np.ndindex(*found.shape[2:]):
            part = cells[..., y : y + window, x : x + window]
            torch.testing.assert_close(found[..., y, x], classifier(part.flatten(1)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7])
def test_first_convolution_answers_as_in_rgb(channels: int):
    rng = np.random.default_rng(0)
    rgb = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    adapted = adapt_first_convolution(rgb, channels)
    assert adapted.shape == (8, channels, 3, 3)
    assert adapted.dtype == np.float32
    np.testing.assert_allclose(adapted.sum(axis=1), rgb.sum(axis=1), rtol=1e-4)
    assert all(adapted[:, channel].any() for channel in range(channels))
    if channels == 3:
        np.testing.assert_array_equal(adapted, rgb)


def imagenet_like(dense: int = 16) -> dict[str, np.ndarray]:
    """Return weights named and laid out as torchvision's AlexNet, fewer dense ones."""
    torch.manual_seed(2)
    features = make_trunk(TRUNKS["alexnet"], 3, 64)
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 36, dense),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(dense, dense),
        nn.ReLU(),
        nn.Linear(dense, 10),
    )
    model = nn.ModuleDict({"features": features, "classifier": classifier})
    return weights_of(model)


def test_an_fcn_starts_as_the_classifier_made_convolutional():
    classifier = imagenet_like()
    spec = tiny("fcn32s-alexnet", width=64, dense_width=16, in_channels=1)
    start = imagenet_start(weights_of(build(spec)), classifier, spec)
    network = load(spec, start)
    np.testing.assert_array_equal(
        start["features.3.weight"], classifier["features.3.weight"]
    )
    cells = torch.rand(1, 256, 6, 6)
    with torch.no_grad():
        found = functional.relu(network.fc7(functional.relu(network.fc6(cells))))
    dense = cells.flatten().numpy()
    for layer in ("classifier.1", "classifier.4"):
        dense = classifier[f"{layer}.weight"] @ dense + classifier[f"{layer}.bias"]
        dense = dense.clip(min=0)
    np.testing.assert_allclose(found.flatten().numpy(), dense, atol=1e-5)
    assert not start["score.weight"].any()


def test_an_fcn_of_another_dense_width_takes_the_trunk_only():
    classifier = imagenet_like()
    spec = tiny("fcn8s-alexnet", width=64, dense_width=24, in_channels=5)
    fresh = weights_of(build(spec))
    start = imagenet_start(fresh, classifier, spec)
    load(spec, start)
    np.testing.assert_array_equal(start["fc6.weight"], fresh["fc6.weight"])
    assert start["features.0.weight"].shape == (64, 5, 11, 11)
    np.testing.assert_array_equal(
        start["features.10.bias"], classifier["features.10.bias"]
    )


def test_imagenet_start_refuses_other_networks_and_widths():
    with pytest.raises(SpecError, match="no ImageNet weights for unet"):
        imagenet_start({}, {}, ModelSpec())
    with pytest.raises(SpecError, match="use width 64"):
        imagenet_start({}, {}, tiny("fcn32s-vgg16"))
    spec = tiny("fcn32s-vgg16", width=64, dense_width=8)
    with torch.device("meta"):
        shapes = build(spec).state_dict()
    fresh = {k: np.broadcast_to(np.float32(0), t.shape) for k, t in shapes.items()}
    with pytest.raises(SpecError, match="features"):
        imagenet_start(fresh, imagenet_like(), spec)


def test_an_autoencoder_warm_starts_a_unet():
    torch.manual_seed(0)
    small = {"depth": 2, "width": 4}
    source = weights_of(
        build(ModelSpec(architecture="autoencoder", classes=(), **small))
    )
    for name, values in source.items():
        if name.endswith("running_mean"):
            values[...] = 0.5
    unet = ModelSpec(**small)
    fresh = weights_of(build(unet))
    started = warm_start(fresh, source)
    load(unet, started)
    for name, values in started.items():
        origin = source if name.startswith("down.") else fresh
        np.testing.assert_array_equal(values, origin[name])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 8}, "same depth, width and channels"),
        ({"depth": 1}, "has no 'down.2"),
        ({"in_channels": 2}, "'down.0.0.weight'"),
    ],
)
def test_a_warm_start_refuses_what_does_not_fit(values: dict, message: str):
    spec = {"depth": 2, "width": 4}
    source = build(ModelSpec(architecture="autoencoder", **(spec | values)))
    with pytest.raises(SpecError, match=message):
        warm_start(weights_of(build(ModelSpec(**spec))), weights_of(source))
