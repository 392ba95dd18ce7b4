"""Tests of packages of bioimage.io: what other programs make of them, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import stat
import zipfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from unet_engine.cli import main
from unet_engine.errors import CheckpointError, DataError
from unet_engine.images import Image
from unet_engine.model_packages import library
from unet_engine.model_packages.export import export_package
from unet_engine.model_packages.importing import import_package
from unet_engine.model_packages.weights import network_of
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.renaming import rename_model
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeCheckpoint

pytestmark = [
    # The library leaves its files open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DESCRIPTION = "rdf.yaml"
HISTORY = ({"name": "mine", "parent": "nuclei", "after": {"iou": 0.75}},)
UNUSED = (
    "cover.png",
    "README.md",
    "environment.yaml",
    "test_input.npy",
    "test_output.npy",
    "weights.onnx",
    "weights_torchscript.pt",
)
"""Files of a package that a model of this program is made without."""

SPECS = {
    "U-Net 2-D": ModelSpec(depth=2, width=4, object_maps=("distance", "boundary")),
    "U-Net 3-D": ModelSpec(depth=1, width=2, ndim=3),
    "valid U-Net": ModelSpec.for_architecture("unet-valid", depth=2, width=2),
    "valid 3-D": ModelSpec.for_architecture("unet3d-valid", depth=1, width=2),
    "FCN-8s": ModelSpec.for_architecture(
        "fcn8s-vgg16", width=2, dense_width=8, in_channels=3
    ),
    "foreground": ModelSpec(depth=1, width=2, brightness="foreground"),
    "autoencoder": ModelSpec.for_architecture(
        "autoencoder", depth=1, width=2, classes=()
    ),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    return ModelStore()


@pytest.fixture
def package(store: ModelStore, make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    """Return the package of a small model called ``mine``."""
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=2))
    store.save("mine", dataclasses.replace(checkpoint, history=HISTORY))
    return export_package(store, "mine", tmp_path / "mine.zip", authors=["Ada"]).path


def rewritten(package: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Return a copy of a package with other files."""
    with zipfile.ZipFile(package) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    copy = package.with_name("changed.zip")
    with zipfile.ZipFile(copy, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return copy


def described(package: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of a package with another description."""
    from ruyaml import YAML

    yaml = YAML(typ="safe", pure=True)

    def edit(files: dict[str, bytes]) -> None:
        values = yaml.load(files[DESCRIPTION].decode())
        change(values)
        stream = io.StringIO()
        yaml.dump(values, stream)
        files[DESCRIPTION] = stream.getvalue().encode()

    return rewritten(package, edit)


def with_weights(package: Path, content: bytes) -> Path:
    """Return a copy of a package with other weights, signed anew."""
    signed = hashlib.sha256(content).hexdigest()

    def sign(values: dict[str, Any]) -> None:
        values["weights"]["pytorch_state_dict"]["sha256"] = signed

    def replace(files: dict[str, bytes]) -> None:
        files["weights.pt"] = content

    return rewritten(described(package, sign), replace)


def refused(store: ModelStore, package: Path) -> str:
    """Return why a package is refused; nothing is left of it."""
    before = sorted(store.root.iterdir())
    with pytest.raises((CheckpointError, DataError)) as caught:
        import_package(store, package)
    assert sorted(store.root.iterdir()) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
# PyTorch calls the loading of TorchScript deprecated, and bioimageio.core loads it.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SPECS)
def test_it_passes_the_test_of_bioimageio_and_comes_back(
    kind: str, store: ModelStore, make_checkpoint: MakeCheckpoint, tmp_path: Path
):
    core = pytest.importorskip("bioimageio.core", reason="an extra")
    spec = SPECS[kind]
    checkpoint = dataclasses.replace(make_checkpoint(spec), history=HISTORY)
    store.save("mine", checkpoint)
    done = export_package(store, "mine", tmp_path / "mine.zip", authors=["Ada"])
    found = core.test_model(done.path)
    errors = [error.msg for detail in found.details for error in detail.errors]
    assert (found.status, errors) == ("passed", [])
    tested = {
        detail.loc[-1] for detail in found.details if detail.loc[:1] == ("weights",)
    }
    assert {"pytorch_state_dict", "torchscript", "onnx"} <= tested
    info = import_package(store, done.path, "back")
    assert_same(Checkpoint.load(info.path), store.load("mine"))


@pytest.mark.parametrize("kind", SPECS)
def test_onnx_computes_the_same(
    kind: str, store: ModelStore, make_checkpoint: MakeCheckpoint, tmp_path: Path
):
    import onnxruntime

    store.save("mine", make_checkpoint(SPECS[kind]))
    path = export_package(store, "mine", tmp_path / "mine.zip").path
    with zipfile.ZipFile(path) as archive:
        content = archive.read("weights.onnx")
        example = np.load(io.BytesIO(archive.read("test_input.npy")))
    # Of another size than the example, which the export traced.
    divisors = SPECS[kind].footprint.divisor
    wider = np.pad(
        example / example.max(), [(0, 0), (0, 0), *((0, 2 * d) for d in divisors)]
    )
    session = onnxruntime.InferenceSession(content)
    (found,) = session.run(None, {"input": wider.astype(np.float32)})
    network = network_of(store.load("mine"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(wider.astype(np.float32))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.spec == expected.spec
    assert found.weights.keys() == expected.weights.keys()
    for name, values in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)


def test_predictions_are_identical(store: ModelStore, package: Path):
    info = import_package(store, package, "mine-2")
    assert info.history[0]["after"] == {"iou": 0.75}
    assert info.notes.received
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90)).astype(np.uint8)
    image = Image.from_array(pixels, "YX")
    masks = [predict(image, store.load(name)).labels for name in ("mine", "mine-2")]
    np.testing.assert_array_equal(*masks)


def test_the_same_package_adds_no_copy(
    store: ModelStore, package: Path, capfd: pytest.CaptureFixture
):
    assert import_package(store, package).name == "mine"
    rename_model(store, "mine", "renamed")
    assert main(["models", "import", str(package)]) == 0
    assert (
        "mine.zip is already among your models as renamed; no copy was added"
        in capfd.readouterr().err
    )
    before = store.names()
    # As when it is downloaded again: packed otherwise, at another time.
    assert import_package(store, rewritten(package, lambda _: None)).name == "renamed"
    assert store.names() == before
    assert import_package(store, package, "copy").name == "copy"


def test_another_package_of_the_name_gets_its_own(store: ModelStore, package: Path):
    mine = store.load("mine")
    other = {name: values + 1 for name, values in mine.weights.items()}
    store.save("mine", dataclasses.replace(mine, weights=other), overwrite=True)
    assert import_package(store, package).name == "mine-2"
    assert import_package(store, package).name == "mine-2"


def test_what_is_in_a_package(package: Path):
    from ruyaml import YAML

    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        page = archive.read("README.md").decode()
        values = YAML(typ="safe", pure=True).load(archive.read(DESCRIPTION))
    assert {
        "cover.png",
        "weights.pt",
        "weights_torchscript.pt",
        "test_input.npy",
    } <= names
    assert "## Validation" in page
    assert "IoU on the labels that its training held out: 0.750" in page
    assert values["parent"]["id"] == "nuclei"
    assert values["authors"] == [{"name": "Ada"}]
    steps = {
        step["id"]: step["kwargs"] for step in values["inputs"][0]["preprocessing"]
    }
    assert steps["scale_range"]["min_percentile"] == 1.0
    assert steps["scale_range"]["max_percentile"] == 99.8
    assert steps["clip"] == {"min": -1.0, "max": 5.0}


def test_brightness_that_the_terms_lack_is_prepared(
    store: ModelStore, make_checkpoint: MakeCheckpoint, tmp_path: Path
):
    spec = ModelSpec(depth=1, width=2, brightness="foreground", object_size_px=24.0)
    store.save("mine", make_checkpoint(spec))
    path = export_package(store, "mine", tmp_path / "mine.zip").path
    with zipfile.ZipFile(path) as archive:
        page = archive.read("README.md").decode()
        example = np.load(io.BytesIO(archive.read("test_input.npy")))
        assert b"scale_range" not in archive.read(DESCRIPTION)
    assert example.min() >= -1
    assert example.max() <= 5
    assert "objects 1, however few they are" in page
    assert "a diameter of about 24 pixels" in page


@pytest.mark.slow
def test_the_licence_and_the_credits_go_with_it(store: ModelStore, tmp_path: Path):
    path = export_package(store, "nuclei", tmp_path / "nuclei.zip").path
    with zipfile.ZipFile(path) as archive:
        assert b"license: CC-BY-4.0" in archive.read(DESCRIPTION)
        assert "BBBC038v1" in archive.read("README.md").decode()


def test_the_commands(store: ModelStore, package: Path, capfd: pytest.CaptureFixture):
    assert main(["export", "mine", str(package)]) == 1
    assert "is there already" in capfd.readouterr().err
    assert main(["export", "mine", str(package), "--overwrite"]) == 0
    printed = capfd.readouterr()
    assert printed.out == f"{package}\n"
    assert "states no licence" in printed.err
    assert "--author" in printed.err
    assert main(["models", "import", str(package), "--name", "back"]) == 0
    assert "back" in store.names()


def test_without_the_library(
    store: ModelStore,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
):
    monkeypatch.setitem(__import__("sys").modules, "bioimageio.spec", None)
    assert main(["models", "import", str(package)]) == 1
    assert "pip install 'napari-unet-finetune[bioimageio]'" in capfd.readouterr().err
    assert main(["export", "mine", str(package.with_name("x.zip"))]) == 1
    assert not package.with_name("x.zip").exists()


def test_a_library_that_fails(
    store: ModelStore,
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
):
    versions = {"bioimageio.spec": "0.5.12.0", "pydantic": "2.14.3"}
    monkeypatch.setattr(library, "installed_version", versions.__getitem__)
    assert main(["export", "mine", str(package.with_name("x.zip"))]) == 1
    assert 'pip install "pydantic<2.14"' in capfd.readouterr().err
    assert not package.with_name("x.zip").exists()


class TestRefusals:
    def test_no_package(self, store: ModelStore, package: Path, tmp_path: Path):
        path = tmp_path / "bad.zip"
        assert "check the path" in refused(store, path)
        path.write_bytes(package.read_bytes()[:-500])
        assert "cut off" in refused(store, path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
        assert "no package of bioimage.io" in refused(store, path)

    def test_a_changed_file(self, store: ModelStore, package: Path):
        def change(files: dict[str, bytes]) -> None:
            files["weights.pt"] = files["weights.pt"][:-1] + b"\1"

        assert "is not the file that the description signs" in refused(
            store, rewritten(package, change)
        )

    def test_no_signature(self, store: ModelStore, package: Path):
        def change(values: dict[str, Any]) -> None:
            del values["weights"]["pytorch_state_dict"]["sha256"]

        assert "signs" in refused(store, described(package, change))

    def test_a_missing_file(self, store: ModelStore, package: Path):
        copy = rewritten(package, lambda files: files.pop("weights.pt") and None)
        assert "lacks the file weights.pt" in refused(store, copy)

    @pytest.mark.parametrize("name", UNUSED)
    def test_a_file_that_is_not_used_here(
        self, store: ModelStore, package: Path, name: str
    ):
        def change(files: dict[str, bytes]) -> None:
            files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])

        found = refused(store, rewritten(package, change))
        assert f"{name} is not the file that the description signs" in found
        assert found.endswith("download the package again")
        copy = rewritten(package, lambda files: files.pop(name) and None)
        assert f"lacks the file {name}; download" in refused(store, copy)

    def test_a_file_without_a_signature_is_missing(
        self, store: ModelStore, package: Path
    ):
        def change(values: dict[str, Any]) -> None:
            values["covers"] = [{"source": "second.png"}]

        copy = described(package, change)
        assert "lacks the file second.png; download" in refused(store, copy)
        import_package(
            store, rewritten(copy, lambda files: files.update({"second.png": b"x"}))
        )

    def test_a_file_that_is_not_signed_is_damaged(
        self, store: ModelStore, package: Path
    ):
        with zipfile.ZipFile(package, "a") as archive:
            archive.writestr("more.txt", b"as it was written")
        content = package.read_bytes()
        package.write_bytes(content.replace(b"as it was", b"as it is!"))
        found = refused(store, package)
        assert "more.txt cannot be read" in found
        assert "download the package again" in found

    def test_an_address_is_not_fetched(self, store: ModelStore, package: Path):
        def change(values: dict[str, Any]) -> None:
            entry = values["weights"]["pytorch_state_dict"]
            entry["source"] = "https://example.com/weights.pt"

        assert "lacks the file" in refused(store, described(package, change))

    @pytest.mark.parametrize(
        "name", ["../evil.py", "a/../../evil.py", "/tmp/evil.py", "..\\evil.py", "C:x"]
    )
    def test_a_path_that_leads_out(self, store: ModelStore, package: Path, name: str):
        copy = rewritten(package, lambda files: files.update({name: b"x"}))
        assert "would lie outside of it" in refused(store, copy)

    def test_a_link(self, store: ModelStore, package: Path):
        with zipfile.ZipFile(package, "a") as archive:
            entry = zipfile.ZipInfo("weights.pt.old")
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, "/etc/passwd")
        assert "a link in place of a file" in refused(store, package)

    @pytest.mark.parametrize("name", ["../" + "long" * 10_000, "../two\nlines"])
    def test_a_name_that_would_fill_a_page(
        self, store: ModelStore, package: Path, name: str
    ):
        copy = rewritten(package, lambda files: files.update({name: b"x"}))
        line = refused(store, copy)
        assert "would lie outside of it" in line
        assert len(line) < 500 + len(str(copy))

    @pytest.mark.parametrize(
        "field",
        [{"covers": [{"source": "long" * 999 + "\n.png"}]}, {"type": "x" * 999}],
    )
    def test_a_description_whose_words_would_fill_a_page(
        self, store: ModelStore, package: Path, field: dict[str, Any]
    ):
        def change(values: dict[str, Any]) -> None:
            values.update(field)

        line = refused(store, described(package, change))
        assert len(line) < 500 + len(str(package))

    def test_a_header_that_states_a_name_of_a_thousand_bytes(
        self, store: ModelStore, package: Path
    ):
        content = bytearray(package.read_bytes())
        with zipfile.ZipFile(package) as archive:
            header = archive.getinfo("cover.png").header_offset
        content[header + 26 : header + 28] = (1000).to_bytes(2, "little")
        package.write_bytes(content)
        line = refused(store, package)
        assert "cover.png cannot be read" in line
        assert len(line) < 500 + len(str(package))

    # Writing two files of one name is warned of.
    @pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
    def test_two_files_of_one_name(self, store: ModelStore, package: Path):
        with zipfile.ZipFile(package, "a") as archive:
            archive.writestr("weights.pt", b"others")
        assert "two files of one name" in refused(store, package)

    def test_a_file_that_fills_the_memory(self, store: ModelStore, package: Path):
        with zipfile.ZipFile(package) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        bomb = package.with_name("bomb.zip")
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(
                    name, b"\0" * 2**27 if "weights.pt" in name else content
                )
        assert "which no model does" in refused(store, bomb)

    def test_a_description_of_billions_of_values(
        self, store: ModelStore, package: Path
    ):
        lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
        for name, part in pairwise("abcdefghij"):
            lines.append(f"{name}2: &{part} [{', '.join([f'*{name}'] * 9)}]")

        def change(files: dict[str, bytes]) -> None:
            files[DESCRIPTION] += "\n".join(["", *lines, ""]).encode()

        assert "more than 100000 values" in refused(store, rewritten(package, change))

    def test_an_unknown_field(self, store: ModelStore, package: Path):
        copy = described(package, lambda values: values.update(surprise=1))
        assert "surprise" in refused(store, copy)

    def test_an_unknown_field_of_the_network(self, store: ModelStore, package: Path):
        def change(values: dict[str, Any]) -> None:
            entry = values["weights"]["pytorch_state_dict"]["architecture"]
            entry["kwargs"]["spec"]["attention"] = True

        assert "attention" in refused(store, described(package, change))

    def test_yaml_with_objects(self, store: ModelStore, package: Path, tmp_path: Path):
        def change(files: dict[str, bytes]) -> None:
            files[DESCRIPTION] += (
                f"\nextra: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n"
            ).encode()

        assert "is no YAML" in refused(store, rewritten(package, change))
        assert not (tmp_path / "made").exists()

    @pytest.mark.slow
    def test_a_pickle_is_not_run(
        self, store: ModelStore, package: Path, tmp_path: Path
    ):
        class Canary:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "sung"),)

        saved = io.BytesIO()
        torch.save({"network.weight": Canary()}, saved)
        for content in pickle.dumps(Canary()), saved.getvalue():
            assert "nothing of them was run" in refused(
                store, with_weights(package, content)
            )
        assert not (tmp_path / "sung").exists()
        # It does what it says, so that the test means something.
        pickle.loads(pickle.dumps(Canary()))
        assert (tmp_path / "sung").exists()

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ([torch.zeros(2)], "no tensors with names"),
            ({"weight": torch.zeros(2)}, "the network has not"),
            ({"network.weight": torch.zeros(2)}, "lacks|unknown|missing|no tensor"),
        ],
    )
    def test_weights_of_another_network(
        self, store: ModelStore, package: Path, state: object, reason: str
    ):
        saved = io.BytesIO()
        torch.save(state, saved)
        with pytest.raises(CheckpointError, match=reason):
            import_package(store, with_weights(package, saved.getvalue()))

    def test_code_of_a_package_is_not_run(self, store: ModelStore, package: Path):
        def change(values: dict[str, Any]) -> None:
            weights = values["weights"]
            weights["pytorch_state_dict"]["architecture"] |= {
                "import_from": "os",
                "callable": "mkdir",
            }
            del weights["onnx"], weights["torchscript"]

        found = refused(store, described(package, change))
        assert "has the network mkdir from os and nothing else" in found

    def test_weights_for_other_programs_only(self, store: ModelStore, package: Path):
        def change(values: dict[str, Any]) -> None:
            source = values["weights"].pop("onnx") | {"tensorflow_version": "2.16"}
            values["weights"] = {"tensorflow_saved_model_bundle": source}
            for name in "parent", "opset_version":
                source.pop(name)

        assert "weights as tensorflow_saved_model_bundle only" in refused(
            store, described(package, change)
        )


def test_a_package_of_ours_without_a_state_dict_predicts(
    store: ModelStore, package: Path
):
    def change(values: dict[str, Any]) -> None:
        del values["weights"]["pytorch_state_dict"], values["weights"]["torchscript"]
        del values["weights"]["onnx"]["parent"]

    info = import_package(store, described(package, change), "run")
    assert info.spec.imported is not None
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90)).astype(np.uint8)
    image = Image.from_array(pixels, "YX")
    config = PredictConfig(probabilities=True)
    ours, theirs = (
        predict(image, store.load(name), config).probabilities
        for name in ("mine", "run")
    )
    # Beyond the border the one pads with zeros, the other mirrors.
    inner = np.s_[:, 16:-16, 16:-16]
    np.testing.assert_allclose(theirs[inner], ours[inner], atol=1e-4)


def test_a_history_that_is_none_is_left_out(store: ModelStore, package: Path):
    def change(values: dict[str, Any]) -> None:
        values["config"]["napari_unet_finetune"]["history"] = json.dumps({"a": 1})

    info = import_package(store, described(package, change), "without")
    assert info.history == ()
