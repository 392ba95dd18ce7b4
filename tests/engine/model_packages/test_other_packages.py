"""Packages of networks of other programs: they predict, and no more."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from other_packages import Guarded, OtherNetwork, pack
from scipy.special import expit, softmax

from unet_engine.cli import main
from unet_engine.errors import (
    CheckpointError,
    DataError,
    EngineError,
    SpecError,
    UntrustedError,
)
from unet_engine.images import Image
from unet_engine.model_packages.export import export_package
from unet_engine.model_packages.importing import import_package
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.description import describe_model
from unet_engine.models.starting import start_from
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    # The library leaves its files open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Values = np.ndarray


def sigmoid(output: Values) -> Values:
    return np.asarray(expit(output))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    return ModelStore()


def noise(shape: tuple[int, ...], dtype: str = "float32") -> Values:
    """Return floats about 0, or integers about 100."""
    values = np.random.default_rng(0).normal(0, 1, shape)
    return (values if dtype == "float32" else 100 + 20 * values).astype(dtype)


def added(
    store: ModelStore,
    folder: Path,
    other: OtherNetwork | None = None,
    *,
    prepare: Callable[[Values], Values] = lambda image: image,
    finish: Callable[[Values], Values] = sigmoid,
    image: Values | None = None,
    trust: bool = False,
) -> Checkpoint:
    """Pack a network, import it, and return it as the store has it."""
    other = other or OtherNetwork()
    if image is None:
        image = noise((other.taken, *(other.least,) * other.ndim))
    path = pack(other, folder / "other", image, prepare(image), finish)
    return store.load(import_package(store, path, "other", trust=trust).name)


def whole(other: OtherNetwork, prepared: Values) -> Values:
    """Return the output for an image in one piece, mirrored beyond its border."""
    padded = prepared
    if not other.padded:
        padded = np.pad(prepared, [(0, 0), *[(3, 3)] * other.ndim], mode="reflect")
    return other.made()(torch.from_numpy(padded[None].astype(np.float32))).numpy()[0]


def inner(values: Values, margin: int = 8) -> Values:
    spatial = (slice(margin, -margin),) * (values.ndim - 1)
    return values[(slice(None), *spatial)]


def probabilities(image: Values, checkpoint: Checkpoint, **settings: Any) -> Values:
    axes = "ZYX" if image.ndim == 3 else "YX"
    config = PredictConfig(probabilities=True, **settings)
    found = predict(Image.from_array(image, axes), checkpoint, config).probabilities
    assert found is not None
    return np.asarray(found)


@pytest.mark.parametrize(
    "other",
    [
        OtherNetwork(),
        OtherNetwork(padded=False),
        OtherNetwork(step=16, least=32),
        OtherNetwork(step=0, least=48),
        OtherNetwork(step=0, least=48, padded=False, halo=0),
        OtherNetwork(halo=0),
    ],
    ids=["padded", "valid", "steps", "one size", "one size, valid", "no halo"],
)
def test_tiles_give_what_the_network_does(
    other: OtherNetwork, store: ModelStore, tmp_path: Path
):
    checkpoint = added(store, tmp_path, other)
    image = noise((100, 131))
    found = probabilities(image, checkpoint, tile=32)
    expected = sigmoid(whole(other, image[None]))
    np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_volumes(store: ModelStore, tmp_path: Path):
    other = OtherNetwork(ndim=3, least=16)
    checkpoint = added(store, tmp_path, other)
    image = noise((20, 40, 37))
    found = probabilities(image, checkpoint, tile=32)
    expected = sigmoid(whole(other, image[None]))
    np.testing.assert_allclose(inner(found[1:], 4), inner(expected, 4), atol=1e-5)


def standardised(image: Values) -> Values:
    axes = tuple(range(1, image.ndim))
    mean, std = (f(image, axis=axes, keepdims=True) for f in (np.mean, np.std))
    return np.asarray((image - mean) / (std + 1e-6))


def ranged(image: Values) -> Values:
    low, high = np.percentile(image, (2, 98))
    return np.asarray((image - low) / (high - low + 1e-6))


ALL = ["channel", "y", "x"]


@pytest.mark.parametrize(
    ("before", "prepare"),
    [
        (
            [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
            standardised,
        ),
        (
            [
                {
                    "id": "scale_range",
                    "kwargs": {
                        "axes": ALL,
                        "min_percentile": 2,
                        "max_percentile": 98,
                    },
                },
                {"id": "clip", "kwargs": {"min": 0, "max": 1}},
            ],
            lambda image: np.clip(ranged(image), 0, 1),
        ),
        (
            [{"id": "scale_linear", "kwargs": {"gain": 0.01, "offset": -1}}],
            lambda image: image * 0.01 - 1,
        ),
        (
            [
                {
                    "id": "fixed_zero_mean_unit_variance",
                    "kwargs": {"mean": 90.0, "std": 30.0},
                }
            ],
            lambda image: (image.astype(float) - 90) / 30,
        ),
        (
            [
                {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                {"id": "binarize", "kwargs": {"threshold": 105.0}},
            ],
            lambda image: (image > 105).astype(np.float32),
        ),
        (
            [{"id": "scale_linear", "kwargs": {"gain": 0.01}}, {"id": "sigmoid"}],
            lambda image: expit(image * 0.01),
        ),
    ],
    ids=lambda value: value[0]["id"] if isinstance(value, list) else "",
)
def test_preprocessing(
    before: list[dict[str, Any]],
    prepare: Callable[[Values], Values],
    store: ModelStore,
    tmp_path: Path,
):
    other = OtherNetwork(before=before)
    checkpoint = added(
        store, tmp_path, other, prepare=prepare, image=noise((1, 24, 24), "uint16")
    )
    image = noise((90, 120), "uint16")
    found = probabilities(image, checkpoint, tile=32)
    expected = sigmoid(whole(other, prepare(image[None])))
    np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-4)


def test_each_channel_has_figures_of_its_own(store: ModelStore, tmp_path: Path):
    before = [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}]
    other = OtherNetwork(taken=2, before=before)
    checkpoint = added(store, tmp_path, other, prepare=standardised)
    image = noise((2, 60, 70)) * np.array([1, 7], np.float32)[:, None, None]
    found = predict(
        Image.from_array(image, "CYX"), checkpoint, PredictConfig(probabilities=True)
    ).probabilities
    expected = sigmoid(whole(other, standardised(image)))
    np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-4)


def test_channels_that_exclude_each_other(store: ModelStore, tmp_path: Path):
    other = OtherNetwork(
        names=("nucleus", "Background", "border"), after=[{"id": "softmax"}]
    )
    checkpoint = added(store, tmp_path, other, finish=lambda out: softmax(out, axis=1))
    assert checkpoint.spec.classes == ("background", "nucleus", "border")
    image = noise((60, 70))
    found = probabilities(image, checkpoint)
    expected = softmax(whole(other, image[None]), axis=0)[[1, 0, 2]]
    np.testing.assert_allclose(inner(found), inner(expected), atol=1e-5)


def test_channels_of_their_own(store: ModelStore, tmp_path: Path):
    other = OtherNetwork(names=("cells", "borders"))
    checkpoint = added(store, tmp_path, other)
    assert checkpoint.spec.classes == ("background", "cells", "borders")
    image = noise((60, 70))
    labels = predict(Image.from_array(image, "YX"), checkpoint).labels
    expected = sigmoid(whole(other, image[None]))
    certain = (np.abs(expected - 0.5) > 1e-3).all(axis=0)
    certain &= np.abs(expected[0] - expected[1]) > 1e-3
    sure = np.where(expected.max(0) > 0.5, 1 + expected.argmax(0), 0)
    assert inner((labels == sure)[None] | ~certain).all()
    assert set(np.unique(labels)) == {0, 1, 2}


def test_what_is_said_of_it(store: ModelStore, tmp_path: Path):
    checkpoint = added(store, tmp_path)
    info = store.info("other")
    assert info.spec.classes == ("background", "cells")
    assert info.trained
    assert "Hopper 1952" in info.notes.notes
    assert info.notes.licence == "MIT"
    described = describe_model(info).get("network")
    assert "for prediction only" in described
    assert "Grace Hopper" in described
    image = Image.from_array(noise((60, 70)), "YX")
    assert (
        "the 3 pixels that its package states" in predict(image, checkpoint).notes[-1]
    )


def test_a_halo_that_no_package_states(store: ModelStore, tmp_path: Path):
    checkpoint = added(store, tmp_path, OtherNetwork(halo=0))
    image = Image.from_array(noise((60, 70)), "YX")
    assert "the 64 pixels that was assumed" in predict(image, checkpoint).notes[-1]


def test_it_goes_the_way_of_any_model_file(store: ModelStore, tmp_path: Path):
    checkpoint = added(store, tmp_path)
    path = tmp_path / "copy.safetensors"
    checkpoint.save(path)
    again = Checkpoint.load(path)
    assert again.spec == checkpoint.spec
    assert json.loads(json.dumps(again.spec.to_dict())) == again.spec.to_dict()
    image = noise((60, 70))
    np.testing.assert_array_equal(
        probabilities(image, again), probabilities(image, checkpoint)
    )


def test_a_run_to_disk_can_be_resumed(store: ModelStore, tmp_path: Path):
    import tifffile

    added(store, tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", noise((200, 200), "uint8"))
    words = ["predict", str(tmp_path / "a.tif"), "--model", "other", "--tile", "64"]
    out = str(tmp_path / "mask.ome.zarr")
    assert main([*words, "-o", out]) == 0
    assert main([*words, "-o", out, "--resume"]) == 0


class TestNothingElse:
    """What such a model cannot do, each refused with the reason."""

    def test_fine_tuning(
        self, store: ModelStore, tmp_path: Path, capfd: pytest.CaptureFixture
    ):
        checkpoint = added(store, tmp_path)
        for classes in None, ("background", "cells", "more"):
            with pytest.raises(SpecError, match="cannot be fine-tuned"):
                start_from(checkpoint, classes=classes)
        with pytest.raises(SpecError, match="cannot be fine-tuned"):
            start_from(checkpoint, "unet")
        folder = tmp_path / "images"
        folder.mkdir()
        import tifffile

        tifffile.imwrite(folder / "a.tif", noise((64, 64), "uint8"))
        words = ["finetune", "--images", str(folder), "--labels", str(folder)]
        assert main([*words, "--from", "other", "--out", "new"]) == 1
        assert "cannot be fine-tuned" in capfd.readouterr().err

    def test_export(self, store: ModelStore, tmp_path: Path):
        added(store, tmp_path)
        with pytest.raises(EngineError, match="exported again"):
            export_package(store, "other", tmp_path / "again.zip")
        assert not (tmp_path / "again.zip").exists()

    def test_object_maps(self, store: ModelStore, tmp_path: Path):
        checkpoint = added(store, tmp_path)
        image = Image.from_array(noise((60, 70)), "YX")
        with pytest.raises(SpecError, match="no object maps"):
            predict(image, checkpoint, PredictConfig(object_maps=True))


class TestTorchScript:
    other = OtherNetwork(formats=("torchscript",))

    def test_it_is_not_loaded_unless_trusted(
        self, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_: object, **__: object) -> None:
            raise AssertionError("it was loaded")

        monkeypatch.setattr(torch.jit, "load", fail)
        with pytest.raises(UntrustedError, match=r"Grace Hopper.*add --trust"):
            added(store, tmp_path, self.other)
        assert store.names() == ModelStore(tmp_path / "none").names()

    def test_the_advice_works(
        self, store: ModelStore, tmp_path: Path, capfd: pytest.CaptureFixture
    ):
        image = noise((1, 24, 24))
        path = pack(self.other, tmp_path / "other", image, image, sigmoid)
        assert main(["models", "import", str(path)]) == 1
        assert "add --trust" in capfd.readouterr().err
        assert main(["models", "import", str(path), "--trust"]) == 0
        assert "a small network" in store.names()

    @pytest.mark.parametrize("step", [1, 0])
    def test_what_is_kept_is_onnx(self, store: ModelStore, tmp_path: Path, step: int):
        other = OtherNetwork(formats=("torchscript",), step=step)
        checkpoint = added(store, tmp_path, other, trust=True)
        image = noise((60, 75))
        found = probabilities(image, checkpoint)
        expected = sigmoid(whole(other, image[None]))
        np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-5)

    def test_one_that_decides_by_its_input(self, store: ModelStore, tmp_path: Path):
        other = OtherNetwork(formats=("torchscript",), network=Guarded)
        checkpoint = added(store, tmp_path, other, trust=True)
        image = noise((60, 75))
        expected = sigmoid(whole(other, image[None]))
        found = probabilities(image, checkpoint)
        np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-5)

    def test_onnx_goes_first_and_needs_no_trust(
        self, store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_: object, **__: object) -> None:
            raise AssertionError("it was loaded")

        other = OtherNetwork(formats=("torchscript", "onnx"))
        monkeypatch.setattr(torch.jit, "load", fail)
        assert added(store, tmp_path, other).spec.imported is not None

    def test_a_pickle_in_its_place_is_not_run_even_if_trusted(
        self, store: ModelStore, tmp_path: Path
    ):
        class Canary:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "sung"),)

        saved = io.BytesIO()
        torch.save({"weight": Canary()}, saved)
        for number, content in enumerate((pickle.dumps(Canary()), saved.getvalue())):
            other = OtherNetwork(formats=("torchscript",), program=content)
            with pytest.raises(CheckpointError, match="cannot be loaded"):
                added(store, tmp_path / str(number), other, trust=True)
        assert not (tmp_path / "sung").exists()


def with_external_weights(content: bytes) -> bytes:
    """Return an ONNX file whose weights lie in a file of the system."""
    model = onnx.load_model_from_string(content)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return bytes(model.SerializeToString())


def with_an_operator_of_others(content: bytes) -> bytes:
    model = onnx.load_model_from_string(content)
    model.graph.node[0].domain = "com.example"
    return bytes(model.SerializeToString())


class TestRefusals:
    """What cannot be run as it is described: one line, and nothing is left."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda content: content[: len(content) // 2], "is damaged"),
            (with_external_weights, "names other files for its weights"),
            (with_an_operator_of_others, "of another library (com.example)"),
        ],
        ids=["cut off", "other files", "other operators"],
    )
    def test_onnx_files(
        self,
        store: ModelStore,
        tmp_path: Path,
        change: Callable[[bytes], bytes],
        reason: str,
    ):
        with pytest.raises(CheckpointError) as caught:
            added(store, tmp_path, OtherNetwork(file=change))
        assert reason in str(caught.value)
        assert not store.root.exists()

    @pytest.mark.parametrize(
        ("other", "finish", "reason"),
        [
            (OtherNetwork(after=[]), lambda out: out, "is no probability"),
            (
                OtherNetwork(after=[{"id": "zero_mean_unit_variance"}]),
                lambda out: out,
                "'zero_mean_unit_variance' after the network",
            ),
            (
                OtherNetwork(
                    before=[{"id": "clip", "kwargs": {"max_percentile": 99.0}}]
                ),
                sigmoid,
                "its limits are percentiles",
            ),
            (
                OtherNetwork(
                    before=[
                        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x"]}}
                    ]
                ),
                sigmoid,
                "not those of the whole image",
            ),
            (OtherNetwork(), lambda out: out * 0 + 0.5, "comes out otherwise"),
        ],
        ids=["logits", "after", "percentiles", "rows", "example"],
    )
    def test_descriptions(
        self,
        store: ModelStore,
        tmp_path: Path,
        other: OtherNetwork,
        finish: Callable[[Values], Values],
        reason: str,
    ):
        with pytest.raises(DataError) as caught:
            added(store, tmp_path, other, finish=finish)
        assert reason in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not store.root.exists()

    def test_an_example_that_no_network_gives_an_answer_to(
        self, store: ModelStore, tmp_path: Path
    ):
        other = OtherNetwork()
        image = np.full((1, other.least, other.least), np.nan, np.float32)
        with pytest.raises(DataError, match="comes out otherwise"):
            added(store, tmp_path, other, image=image, finish=np.ones_like)
        assert not store.root.exists()

    def test_without_the_runtime(
        self,
        store: ModelStore,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ):
        checkpoint = added(store, tmp_path)
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(EngineError, match=r"finetune\[bioimageio\]"):
            predict(Image.from_array(noise((30, 30)), "YX"), checkpoint)

    def test_a_model_file_with_an_onnx_file_that_names_others(
        self, store: ModelStore, tmp_path: Path
    ):
        checkpoint = added(store, tmp_path)
        content = with_external_weights(checkpoint.weights["onnx"].tobytes())
        weights = {"onnx": np.frombuffer(content, np.uint8)}
        changed = dataclasses.replace(checkpoint, weights=weights)
        with pytest.raises(CheckpointError, match="names other files"):
            predict(Image.from_array(noise((30, 30)), "YX"), changed)


def test_a_halo_is_taken_from_the_quarter_of_an_input(
    store: ModelStore, tmp_path: Path
):
    checkpoint = added(store, tmp_path, OtherNetwork(step=0, least=48, halo=0))
    assert checkpoint.spec.footprint.halo == (12, 12)


def test_the_specification_of_a_model_file(store: ModelStore, tmp_path: Path):
    spec = added(store, tmp_path).spec
    for name, value, reason in (
        ("imported", None, "an imported network has both"),
        ("architecture", "unet", "an imported network has both"),
        ("ndim", 3, "no network of 3 dimensions"),
    ):
        with pytest.raises(SpecError, match=reason):
            dataclasses.replace(spec, **{name: value})
    for name, value in (
        ("least", (0, 24)),
        ("halo", (40, 40)),
        ("step", (1, 1, 1)),
        ("input_axes", "bcyy"),
        ("output_axes", "cxyz"),
        ("output", -1),
    ):
        network = spec.imported
        assert network is not None
        with pytest.raises(SpecError):
            dataclasses.replace(network, **{"step": (0, 0), name: value})


def earlier_package(
    folder: Path, other: OtherNetwork, image: Values, signature: str = ""
) -> Path:
    """Return a package in the terms of version 0.4."""
    from ruyaml import YAML

    pack(other, folder, image, standardised(image), sigmoid)
    weights = (folder / "weights.onnx").read_bytes()
    tensor = {"axes": "bcyx", "data_type": "float32"}
    values = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "an earlier network",
        "description": "of 2022",
        "authors": [{"name": "Grace Hopper"}],
        "cite": [{"text": "Hopper 1952", "url": "https://example.com"}],
        "documentation": "README.md",
        "license": "MIT",
        "timestamp": "2022-01-01T00:00:00",
        "inputs": [
            {
                "name": "raw",
                **tensor,
                "shape": {"min": [1, 1, 24, 24], "step": [0, 0, 8, 8]},
                "preprocessing": [
                    {
                        "name": "zero_mean_unit_variance",
                        "kwargs": {"mode": "per_sample", "axes": "yx"},
                    }
                ],
            }
        ],
        "outputs": [
            {
                "name": "mask",
                **tensor,
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1.0, 1.0, 1.0, 1.0],
                    "offset": [0.0, 0.0, 0.0, 0.0],
                },
                "halo": [0, 0, 3, 3],
                "postprocessing": [{"name": "sigmoid"}],
            }
        ],
        "test_inputs": ["in.npy"],
        "test_outputs": ["out.npy"],
        "weights": {
            "onnx": {
                "source": "weights.onnx",
                "opset_version": 17,
                "sha256": signature or hashlib.sha256(weights).hexdigest(),
            }
        },
    }
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(values, stream)
    path = folder / "earlier.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rdf.yaml", stream.getvalue())
        for name in "in.npy", "out.npy", "weights.onnx", "README.md":
            archive.write(folder / name, name)
    return path


@pytest.mark.parametrize("names", [("cells",), ("cells", "borders")])
def test_an_earlier_format(names: tuple[str, ...], store: ModelStore, tmp_path: Path):
    other = OtherNetwork(names=names)
    path = earlier_package(tmp_path / "earlier", other, noise((1, 24, 24)))
    checkpoint = store.load(import_package(store, path).name)
    found_names = ("foreground",) if len(names) == 1 else ("class 1", "class 2")
    assert checkpoint.spec.classes == ("background", *found_names)
    image = noise((60, 70)) * 3 + 1
    found = probabilities(image, checkpoint)
    expected = sigmoid(whole(other, standardised(image[None])))
    left = 1 - expected.max(axis=0)
    expected = expected / (left + expected.sum(axis=0))
    np.testing.assert_allclose(inner(found[1:]), inner(expected), atol=1e-4)


def test_weights_of_an_earlier_format_are_signed(store: ModelStore, tmp_path: Path):
    other, image = OtherNetwork(), noise((1, 24, 24))
    path = earlier_package(tmp_path / "earlier", other, image, signature="0" * 64)
    with pytest.raises(DataError, match=r"weights.onnx is not the file that the"):
        import_package(store, path)


def test_the_same_package_adds_no_copy(store: ModelStore, tmp_path: Path):
    image, other = noise((1, 24, 24)), OtherNetwork(formats=("torchscript",))
    path = pack(other, tmp_path / "other", image, image, sigmoid)
    info = import_package(store, path, trust=True)
    # Its program is known here, so nobody is asked whether it may run.
    moved = path.rename(path.with_name("moved.zip"))
    assert import_package(store, moved).path == info.path
    with zipfile.ZipFile(moved, "a") as archive:
        archive.writestr("note.txt", "another package")
    assert import_package(store, moved, trust=True).name == f"{info.name}-2"


@pytest.mark.slow
# bioimageio.core loads with warnings of its own.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["padded", "valid", "prepared", "classes"])
def test_it_is_what_bioimageio_predicts(kind: str, store: ModelStore, tmp_path: Path):
    core = pytest.importorskip("bioimageio.core", reason="an extra")
    before = [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}]
    other, prepare, finish = {
        "padded": (OtherNetwork(), lambda image: image, sigmoid),
        "valid": (OtherNetwork(padded=False), lambda image: image, sigmoid),
        # With a halo it measures the image with a mirrored border of that width.
        "prepared": (OtherNetwork(before=before, halo=0), standardised, sigmoid),
        "classes": (
            OtherNetwork(names=("a", "b", "c"), after=[{"id": "softmax"}]),
            lambda image: image,
            lambda out: softmax(out, axis=1),
        ),
    }[kind]
    example = noise((1, 24, 24))
    path = pack(other, tmp_path / "other", example, prepare(example), finish)
    tested = core.test_model(path)
    errors = [error.msg for detail in tested.details for error in detail.errors]
    assert (tested.status, errors) == ("passed", [])
    checkpoint = store.load(import_package(store, path, "other").name)
    image = noise((64, 64)) * 3 + 1
    (found,) = core.predict(model=path, inputs=image[None, None]).members.values()
    theirs = np.asarray(found.data)[0]
    ours = probabilities(image, checkpoint)[0 if kind == "classes" else 1 :]
    margin = (ours.shape[1] - theirs.shape[1]) // 2 + 4
    outer = slice(margin, -margin)
    crop = slice(4, -4)
    np.testing.assert_allclose(ours[:, outer, outer], theirs[:, crop, crop], atol=1e-4)
