"""Model files and packages that were damaged or changed: one clear line, no more.

``FUZZ_ROUNDS`` in the environment sets how many are tried of each kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import zipfile
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy
from damage import BYTES, changed_header, changed_value, repacked
from other_packages import OtherNetwork, pack
from safetensors import SafetensorError
from scipy.special import expit

from unet_engine.compute.loading import load_network
from unet_engine.errors import EngineError
from unet_engine.images import Image
from unet_engine.model_packages.export import export_package
from unet_engine.model_packages.importing import import_package
from unet_engine.models import checkpoint as files
from unet_engine.models.checkpoint import Checkpoint, read_info
from unet_engine.models.collection.description import describe_model
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
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

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "60"))
DESCRIPTION = "rdf.yaml"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    return ModelStore()


@pytest.fixture
def model_file(
    store: ModelStore, make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> Path:
    """Return a model file outside of the store."""
    made = make_checkpoint(ModelSpec(depth=1, width=2))
    path = tmp_path / "mine.safetensors"
    Checkpoint(made.spec, made.weights, ({"name": "mine", "steps": 3},)).save(path)
    return path


@pytest.fixture
def package(store: ModelStore, model_file: Path, tmp_path: Path) -> Path:
    store.add(model_file)
    return export_package(store, "mine", tmp_path / "mine.zip").path


def signed_again(content: bytes) -> bytes:
    """Return a model file whose digest is that of what it holds now."""
    length = int.from_bytes(content[:8], "little")
    with suppress(ValueError, TypeError, KeyError, AttributeError, SafetensorError):
        header = json.loads(content[8 : 8 + length])
        ours = header["__metadata__"]
        names = (*files.KEYS, *(["classifier"] if ours["version"] == "2" else []))
        text = {name: ours[name] for name in names}
        ours["digest"] = files._digest(text, safetensors.numpy.load(content))
        made = json.dumps(header).encode()
        return len(made).to_bytes(8, "little") + made + content[8 + length :]
    return content


def attempt(act: Callable[[], Any]) -> str:
    """Return why something is refused, in one line; empty where it is not."""
    try:
        act()
    except EngineError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
        return str(error)
    return ""


def look_at(path: Path) -> None:
    """Do with a model file what the list of models, its window and a run do."""
    info = read_info(path)
    describe_model(info)
    checkpoint = Checkpoint.load(path)
    if checkpoint.has_network:
        load_network(checkpoint)


def damaged(content: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    if seed % 2:
        return chance.choice(BYTES)(content, chance)
    return signed_again(changed_header(content, chance))


def test_model_files(model_file: Path):
    content, refused = model_file.read_bytes(), 0
    for seed in range(ROUNDS):
        model_file.write_bytes(damaged(content, seed))
        refused += bool(attempt(lambda: look_at(model_file)))
    assert refused > ROUNDS // 2


def test_files_of_imported_networks(store: ModelStore, tmp_path: Path):
    image = np.random.default_rng(0).normal(0, 1, (1, 24, 24))
    other = OtherNetwork(before=[{"id": "clip", "kwargs": {"min": -3.0, "max": 3.0}}])
    made = pack(other, tmp_path / "other", image, np.clip(image, -3, 3), expit)
    path = import_package(store, made, "other").path
    content, refused = path.read_bytes(), 0
    seen = Image.from_array(image[0], "YX")
    for seed in range(ROUNDS):
        path.write_bytes(damaged(content, seed))
        refused += bool(attempt(lambda: predict(seen, Checkpoint.load(path))))
    assert refused > ROUNDS // 2


def test_packages(store: ModelStore, package: Path):
    content, before = package.read_bytes(), sorted(store.root.iterdir())
    copy = package.with_name("changed.zip")
    refused = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        copy.write_bytes(chance.choice(BYTES)(content, chance))
        refused += _is_refused(store, copy, before)
    # Most of the bytes are of files that are not read here.
    assert refused > ROUNDS // 8


def test_descriptions(store: ModelStore, package: Path):
    from ruyaml import YAML

    yaml = YAML(typ="safe", pure=True)
    content, before = package.read_bytes(), sorted(store.root.iterdir())
    with zipfile.ZipFile(package) as archive:
        values = yaml.load(archive.read(DESCRIPTION).decode())
    copy = package.with_name("changed.zip")
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        stream = BytesIO()
        yaml.dump(changed_value(values, chance), stream)
        text = stream.getvalue()
        if seed % 4 == 0:
            text = chance.choice(BYTES)(text, chance)
        copy.write_bytes(repacked(content, {DESCRIPTION: text}))
        _is_refused(store, copy, before)


def test_weights_of_packages(store: ModelStore, package: Path):
    """Weights that somebody signed anew, so that they are read."""
    from ruyaml import YAML

    yaml = YAML(typ="safe", pure=True)
    content, before = package.read_bytes(), sorted(store.root.iterdir())
    with zipfile.ZipFile(package) as archive:
        values = yaml.load(archive.read(DESCRIPTION).decode())
        weights = archive.read("weights.pt")
    copy = package.with_name("changed.zip")
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        changed = chance.choice(BYTES)(weights, chance)
        entry = values["weights"]["pytorch_state_dict"]
        entry["sha256"] = hashlib.sha256(changed).hexdigest()
        stream = BytesIO()
        yaml.dump(values, stream)
        made = {DESCRIPTION: stream.getvalue(), "weights.pt": changed}
        copy.write_bytes(repacked(content, made))
        _is_refused(store, copy, before)


def _is_refused(store: ModelStore, package: Path, before: list[Path]) -> bool:
    """Import a package; nothing is left of one that is refused."""
    why = attempt(lambda: import_package(store, package))
    new = sorted(set(store.root.iterdir()) - set(before))
    assert not why or not new
    for path in new:
        path.unlink()
    return bool(why)
