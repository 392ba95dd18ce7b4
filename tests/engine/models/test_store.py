"""Checkpoints survive a round trip; other files are refused with a reason."""

import json
import logging
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import CheckpointError, DataError
from unet_engine.models.checkpoint import FORMAT, Checkpoint, read_info
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore

SPEC = ModelSpec(depth=2, width=4, in_channels=3, classes=("a", "b", "c"))


@pytest.fixture
def checkpoint():
    rng = np.random.default_rng(0)
    weights = {
        "encoder.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "encoder.transposed": rng.normal(size=(5, 2)).astype(np.float16).T,
        "norm.num_batches_tracked": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 3), dtype=np.float32),
    }
    return Checkpoint(SPEC, weights, ({"name": "old", "parent": None, "steps": 10},))


@pytest.fixture
def saved(checkpoint, tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoint.save(path)
    return path


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models")


@pytest.fixture
def bundled(monkeypatch, tmp_path, checkpoint):
    """Give the package one bundled model, ``nuclei``."""
    folder = tmp_path / "resources"
    (folder / "models").mkdir(parents=True)
    checkpoint.save(folder / "models" / "nuclei.safetensors")
    monkeypatch.setattr("unet_engine.models.store.files", lambda package: folder)
    return folder / "models"


def rewrite_header(path, change):
    """Change the metadata of a file and leave all else as it is."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content[8 + length :])


def test_round_trip_keeps_everything(checkpoint, saved):
    loaded = Checkpoint.load(saved)
    assert loaded.spec == checkpoint.spec
    assert loaded.history == checkpoint.history
    assert loaded.weights.keys() == checkpoint.weights.keys()
    for name, array in checkpoint.weights.items():
        assert loaded.weights[name].dtype == array.dtype
        assert loaded.weights[name].shape == array.shape
        assert np.array_equal(loaded.weights[name], array)


def test_others_can_read_the_tensors(checkpoint, saved):
    tensors = safetensors.numpy.load_file(saved)
    assert tensors.keys() == checkpoint.weights.keys()


def test_info_needs_the_header_only(checkpoint, saved):
    info = read_info(saved)
    assert (info.name, info.path, info.spec) == ("model", saved, SPEC)
    assert info.history == checkpoint.history
    assert info.size == saved.stat().st_size
    assert not info.bundled
    assert info.trained


def test_name_is_that_of_the_last_training(checkpoint):
    assert checkpoint.name == "old"
    assert replace(checkpoint, history=()).name == ""


@pytest.mark.parametrize("kept", [0, 4, 8, 9, 200, 0.5, 0.99])
def test_a_truncated_file_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: kept if kept >= 1 else int(kept * len(content))])
    for read in (Checkpoint.load, read_info):
        with pytest.raises(CheckpointError, match=r"truncated|no model file"):
            read(saved)


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "noise.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        Checkpoint.load(path)
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(CheckpointError):
        Checkpoint.load(path)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_changed_byte_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("changed") / "model.safetensors"
    Checkpoint(SPEC, {"w": np.arange(64, dtype=np.float32)}).save(path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        loaded = Checkpoint.load(path)
    except CheckpointError:
        return
    # White space and the spelling of JSON carry no meaning.
    assert loaded.spec == SPEC
    assert np.array_equal(loaded.weights["w"], np.arange(64, dtype=np.float32))


def test_a_huge_header_is_not_read(tmp_path):
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(CheckpointError, match="no model file"):
        read_info(path)


def test_deeply_nested_json_is_refused(tmp_path):
    path = tmp_path / "deep.safetensors"
    content = b"[" * 200_000
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    with pytest.raises(CheckpointError, match="no model file"):
        read_info(path)


def test_tensors_of_others_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"w": np.zeros(3, dtype=np.float32)}, path)
    for read in (Checkpoint.load, read_info):
        with pytest.raises(CheckpointError, match="not of a model of"):
            read(path)


def test_a_file_of_another_program_is_refused(saved):
    rewrite_header(saved, lambda h: h["__metadata__"].update(format="other"))
    for read in (read_info, Checkpoint.load):
        with pytest.raises(CheckpointError, match="not of a model of"):
            read(saved)


def test_a_changed_spec_is_refused(saved):
    def widen(header):
        values = json.loads(header["__metadata__"]["spec"])
        values["width"] = 8
        header["__metadata__"]["spec"] = json.dumps(values)

    rewrite_header(saved, widen)
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        Checkpoint.load(saved)


def test_a_changed_history_is_refused(saved):
    rewrite_header(saved, lambda h: h["__metadata__"].update(history="[]"))
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        Checkpoint.load(saved)


def test_changed_weights_are_refused(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed after it was saved"):
        Checkpoint.load(saved)


@pytest.mark.parametrize(
    "spec", ['{"width": -1}', '{"depths": 3}', "[]", "nonsense", '{"ndim": "2"}']
)
def test_an_impossible_spec_is_refused(saved, spec):
    rewrite_header(saved, lambda h: h["__metadata__"].update(spec=spec))
    for read in (Checkpoint.load, read_info):
        with pytest.raises(CheckpointError, match="no model that can be built"):
            read(saved)


@pytest.mark.parametrize("version", ["3", "99", "zero", "-1", "9" * 5000])
def test_a_newer_format_needs_an_update(saved, version):
    rewrite_header(saved, lambda h: h["__metadata__"].update(version=version))
    with pytest.raises(CheckpointError, match="update"):
        read_info(saved)


def test_offsets_that_lie_are_refused(saved):
    def shift(header):
        header["encoder.weight"]["data_offsets"] = [0, "x"]

    rewrite_header(saved, shift)
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be opened"):
            Checkpoint.load(path)


def test_the_header_is_plain_json_with_its_format(saved):
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    assert header["format"] == FORMAT
    assert json.loads(header["spec"])["classes"] == ["a", "b", "c"]


def test_an_empty_store_lists_nothing(store):
    own = [info for info in store.list() if not info.bundled]
    assert own == []
    assert store.broken() == ()


def test_save_list_load(store, checkpoint):
    info = store.save("first", checkpoint)
    assert info.path == store.root / "first.safetensors"
    assert "first" in store.names()
    assert store.load("first").history == (
        {"name": "first", "parent": None, "steps": 10},
    )
    assert store.load(str(info.path)).spec == SPEC


def test_an_existing_model_is_not_overwritten(store, checkpoint):
    store.save("mine", checkpoint)
    other = replace(checkpoint, spec=replace(SPEC, width=8))
    for name in ("mine", "MINE"):
        with pytest.raises(CheckpointError, match=f"{name}-2"):
            store.save(name, other)
    assert store.load("mine").spec == SPEC
    store.save("mine", other, overwrite=True)
    assert store.load("mine").spec.width == 8


def test_a_failed_save_leaves_the_old_model(store, checkpoint, monkeypatch):
    store.save("mine", checkpoint)

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError, match="No space left"):
        store.save("mine", replace(checkpoint, history=()), overwrite=True)
    assert store.load("mine").history[0]["name"] == "mine"
    assert os.listdir(store.root) == ["mine.safetensors"]


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b", "a\\b", "..", ".hidden", "con", "COM1.x", "a:b", "a\n", "x" * 300],
)
def test_names_that_are_no_file_names_are_refused(store, checkpoint, name):
    with pytest.raises(CheckpointError, match="no name for a model"):
        store.save(name, checkpoint)


def test_the_bundled_model_that_needs_no_training_comes_first(
    store, checkpoint, bundled
):
    checkpoint.save(bundled / "general.safetensors")
    store.save("always", checkpoint)
    assert store.names() == ("nuclei", "general", "always")


def test_bundled_models_stay_as_they_are(store, checkpoint, bundled):
    before = (bundled / "nuclei.safetensors").read_bytes()
    for name in ("nuclei", "Nuclei"):
        with pytest.raises(CheckpointError, match="bundled"):
            store.save(name, checkpoint, overwrite=True)
    assert (bundled / "nuclei.safetensors").read_bytes() == before
    assert [info.bundled for info in store.list()] == [True]


def test_a_file_cannot_shadow_a_bundled_model(store, checkpoint, bundled):
    store.root.mkdir()
    replace(checkpoint, history=()).save(store.root / "nuclei.safetensors")
    assert store.load("nuclei").history == checkpoint.history
    assert store.names() == ("nuclei",)


def test_a_model_whose_name_a_bundled_one_got_is_there_again_as_advised(
    store, checkpoint, bundled
):
    store.root.mkdir()
    path = store.root / "nuclei.safetensors"
    replace(checkpoint, history=()).save(path)
    ((listed, reason),) = store.broken()
    assert listed == path
    assert f"rename {path}" in reason
    path.rename(store.root / "mine.safetensors")
    assert store.load("mine").history == ()
    assert not store.broken()


def test_unknown_names_are_answered_with_the_known_ones(store, checkpoint, bundled):
    store.save("mine", checkpoint)
    with pytest.raises(CheckpointError, match="nuclei, mine"):
        store.load("yours")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        store.load("yours.safetensors")


def test_broken_files_are_left_out_and_reported(store, checkpoint, caplog):
    store.save("good", checkpoint)
    (store.root / "bad.safetensors").write_bytes(b"nonsense")
    (store.root / "notes.txt").write_text("not a model")
    (store.root / ".hidden.safetensors").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert [i.name for i in store.list() if not i.bundled] == ["good"]
    assert "bad.safetensors" in caplog.text
    [(path, reason)] = store.broken()
    assert path.name == "bad.safetensors"
    assert "no model file" in reason
    with pytest.raises(CheckpointError, match="no model file"):
        store.load("bad")


def test_free_name_counts_up(store, checkpoint, bundled):
    assert store.free_name("fresh") == "fresh"
    assert store.free_name("Nuclei") == "Nuclei-2"
    store.save("nuclei-2", checkpoint)
    assert store.free_name("nuclei") == "nuclei-3"


def test_lineage_goes_back_to_the_first_ancestor(store, checkpoint, bundled):
    child = replace(
        checkpoint, history=(*checkpoint.history, {"parent": "nuclei", "steps": 5})
    )
    store.save("child", child)
    grown = store.load("child")
    assert grown.name == "child"
    store.save("grand", replace(grown, history=(*grown.history, {"parent": "child"})))
    assert store.lineage("grand") == ("grand", "child", "nuclei")
    assert store.lineage("nuclei") == ("nuclei",)


def test_a_folder_that_cannot_be_made_is_reported_before_training(tmp_path, checkpoint):
    (tmp_path / "file").write_text("in the way")
    store = ModelStore(tmp_path / "file" / "models")
    with pytest.raises(DataError, match="NAPARI_UNET_MODELS"):
        store.check_writable()
    with pytest.raises(DataError, match="NAPARI_UNET_MODELS"):
        store.save("mine", checkpoint)


def test_a_full_disk_is_reported_before_training(store, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match="full"):
        store.check_writable()


def test_check_writable_leaves_nothing_behind(store):
    store.check_writable()
    assert list(store.root.iterdir()) == []


def test_a_read_only_folder_is_reported_before_training(store, monkeypatch):
    def refuse(self, *args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        store.check_writable()


def test_the_folder_comes_from_the_environment(models_folder, monkeypatch, tmp_path):
    assert ModelStore().root == models_folder
    assert ModelStore(tmp_path).root == tmp_path
    monkeypatch.delenv("NAPARI_UNET_MODELS")
    assert ModelStore().root.name == "models"


def test_the_store_works_without_bundled_models(store, checkpoint, monkeypatch):
    def absent(package):
        raise ModuleNotFoundError(package)

    monkeypatch.setattr("unet_engine.models.store.files", absent)
    assert store.list() == ()
    store.save("nuclei", checkpoint)
    assert store.names() == ("nuclei",)


def test_a_file_is_added_once_and_never_over_another(store, saved, checkpoint):
    assert store.add(saved).name == "model"
    assert store.add(saved).name == "model", "a copy of it is there already"
    assert store.add(store.root / "model.safetensors").name == "model"
    replace(checkpoint, spec=replace(SPEC, depth=3)).save(saved)
    assert store.add(saved).name == "model-2"
    assert store.load("model").spec == SPEC


def test_a_damaged_file_is_not_added(store, saved):
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated"):
        store.add(saved)
    assert not store.root.exists()
