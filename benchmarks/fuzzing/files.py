"""Model files and packages of bioimage.io: damaged, changed and forged ones are tried.

Each kind of trial has a function that takes ``FileTrials`` and a source of chance.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from fuzzing.archives import FORGED, HARMLESS, repacked
from fuzzing.damage import BYTES, changed_header, changed_value
from fuzzing.trial import Outcome, outcome_of
from unet_engine.compute.loading import load_network
from unet_engine.images import Image
from unet_engine.model_packages.export import export_package
from unet_engine.model_packages.importing import import_package
from unet_engine.models import checkpoint as model_files
from unet_engine.models.checkpoint import Checkpoint, read_info
from unet_engine.models.collection.description import describe_model
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

DESCRIPTION = "rdf.yaml"

_NO_FAULT = "what was forged is taken for a package"


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


class FileTrials:
    """A model and its packages, and a store to which variants of them are added.

    Parameters
    ----------
    folder
        Empty; all that is written lies in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sung = folder / "sung"
        own = ModelStore(folder / "own")
        made = start_checkpoint(ModelSpec(depth=1, width=2), seed=0)
        history = ({"name": "mine", "steps": 3},)
        own.save("mine", replace(made, history=history))
        self.model = own.info("mine").path.read_bytes()
        self.package = export_package(
            own, "mine", folder / "mine.zip"
        ).path.read_bytes()
        self.store = ModelStore(folder / "models")
        self.store.root.mkdir()
        self.copy = folder / "copy.zip"
        self.model_copy = folder / "copy.safetensors"

    @cached_property
    def description(self) -> dict[str, Any]:
        """The description in the package, as values."""
        from ruyaml import YAML

        content = self._read(DESCRIPTION).decode()
        values: dict[str, Any] = YAML(typ="safe", pure=True).load(content)
        return values

    @cached_property
    def imported(self) -> bytes:
        """The model file of the package's ONNX, as of another program."""
        values = json.loads(json.dumps(self.description, default=str))
        weights = values["weights"]
        del weights["pytorch_state_dict"], weights["torchscript"]
        del weights["onnx"]["parent"]
        path = self.folder / "other.zip"
        path.write_bytes(self.with_files({DESCRIPTION: dumped(values)}))
        other = ModelStore(self.folder / "own")
        return import_package(other, path, "other").path.read_bytes()

    def _read(self, name: str) -> bytes:
        import zipfile

        with zipfile.ZipFile(io.BytesIO(self.package)) as archive:
            return archive.read(name)

    def with_files(self, changed: dict[str, bytes]) -> bytes:
        """Return the package with other files."""
        return repacked(self.package, changed)

    def signed(self, name: str, content: bytes) -> bytes:
        """Return the package with another file, which its description signs."""
        values = json.loads(json.dumps(self.description, default=str))
        for entry in entries_of(values):
            if entry["source"] == name:
                entry["sha256"] = hashlib.sha256(content).hexdigest()
        return self.with_files({DESCRIPTION: dumped(values), name: content})

    def look_at(self, content: bytes) -> Outcome:
        """Do with a model file what the list of models, its window and a run do."""
        self.model_copy.write_bytes(content)

        def look() -> None:
            info = read_info(self.model_copy)
            describe_model(info)
            checkpoint = Checkpoint.load(self.model_copy)
            if checkpoint.spec.imported is not None:
                predict(self._image, checkpoint)
            elif checkpoint.has_network:
                load_network(checkpoint)

        return self._judged(outcome_of(look))

    def add(self, content: bytes, *, forged: bool = False) -> Outcome:
        """Import a package; nothing may be left of one that is refused.

        Parameters
        ----------
        content
            Of the package.
        forged
            Whether it must be refused.
        """
        self.copy.write_bytes(content)
        found = outcome_of(lambda: import_package(self.store, self.copy))
        left = sorted(self.store.root.iterdir())
        for path in left:
            path.unlink()
        if found.refused and left:
            return replace(found, fault=f"{left[0].name} is left of what was refused")
        if forged and not found.refused and not found.fault:
            return replace(found, fault=_NO_FAULT)
        return self._judged(found)

    def _judged(self, found: Outcome) -> Outcome:
        if self.sung.exists():
            shutil.rmtree(self.sung)
            return replace(found, fault="a program in the file was run")
        climbed = [
            path
            for folder in (self.folder, *self.folder.parents[:3])
            for path in folder.glob("*fuzz_climbed*")
        ]
        if climbed:
            return replace(found, fault=f"{climbed[0]} was written")
        return found

    @cached_property
    def _image(self) -> Image:
        pixels = np.random.default_rng(0).normal(0, 1, (24, 24))
        return Image.from_array(pixels, "YX")


def entries_of(values: Any) -> list[dict[str, Any]]:
    """Return the parts of a description that name a file of the package."""
    found = []
    if isinstance(values, dict):
        if isinstance(values.get("source"), str) and "sha256" in values:
            found.append(values)
        for value in values.values():
            found += entries_of(value)
    elif isinstance(values, list):
        for value in values:
            found += entries_of(value)
    return found


def dumped(values: Any) -> bytes:
    """Return a description as YAML."""
    from ruyaml import YAML

    stream = io.BytesIO()
    YAML(typ="safe", pure=True).dump(values, stream)
    return stream.getvalue()


def _signed_again(content: bytes) -> bytes:
    """Return a model file whose digest is that of what it holds now."""
    length = int.from_bytes(content[:8], "little")
    with suppress(ValueError, TypeError, KeyError, AttributeError, SafetensorError):
        header = json.loads(content[8 : 8 + length])
        ours = header["__metadata__"]
        names = (*model_files.KEYS, *(["classifier"] if ours["version"] == "2" else []))
        text = {name: ours[name] for name in names}
        tensors = safetensors.numpy.load(content)
        ours["digest"] = model_files._digest(text, tensors)
        made = json.dumps(header).encode()
        return len(made).to_bytes(8, "little") + made + content[8 + length :]
    return content


def _damaged(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.choice(BYTES)(content, chance)
    return _signed_again(changed_header(content, chance))


def _stated_sizes(content: bytes, chance: random.Random) -> bytes:
    """Return a model file whose header states other lengths, places or shapes."""
    if chance.random() < 0.3:
        length = chance.choice((0, 1, len(content), 2**31, 2**32, 2**63, 2**64 - 1))
        return length.to_bytes(8, "little") + content[8:]
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = chance.choice([name for name in header if name != "__metadata__"])
    huge = chance.choice((-1, 0, 2**20, 2**40, 2**62, 2**63, 2**64))
    place = chance.randrange(2)
    if chance.random() < 0.5:
        header[name]["data_offsets"][place] = huge
    else:
        header[name]["shape"] = [huge, *header[name]["shape"][1:]]
    made = json.dumps(header).encode()
    return len(made).to_bytes(8, "little") + made + content[8 + length :]


def model_file(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a model file with other bytes, or another header that is signed anew."""
    return trials.look_at(_damaged(trials.model, chance))


def sizes_of_model_file(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a model file that states sizes which are none of its own."""
    return trials.look_at(_stated_sizes(trials.model, chance))


def imported_model_file(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try the model file of a network of another program."""
    return trials.look_at(_damaged(trials.imported, chance))


def package(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package with other bytes."""
    return trials.add(chance.choice(BYTES)(trials.package, chance))


def listed_file(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package in which one file is damaged, which its description signs."""
    names = sorted({entry["source"] for entry in entries_of(trials.description)})
    name = chance.choice(names)
    content = trials._read(name)
    changed = chance.choice(BYTES)(content, chance)
    return trials.add(trials.with_files({name: changed}), forged=changed != content)


def description(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package with another description."""
    text = dumped(changed_value(trials.description, chance))
    if chance.random() < 0.25:
        text = chance.choice(BYTES)(text, chance)
    return trials.add(trials.with_files({DESCRIPTION: text}))


def weights(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package with other weights, signed anew so that they are read."""
    changed = chance.choice(BYTES)(trials._read("weights.pt"), chance)
    return trials.add(trials.signed("weights.pt", changed))


def archive(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a forged archive."""
    forge = chance.choice((*FORGED, *HARMLESS))
    return trials.add(forge(trials.package, chance), forged=forge in FORGED)


def canary(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package with a pickle that runs a program, in place of weights."""
    bird = Canary(trials.sung)
    holder = chance.choice((bird, {"network.weight": bird}, [bird], (1, {"a": bird})))
    saved = io.BytesIO()
    if chance.random() < 0.5:
        torch.save(holder, saved, _use_new_zipfile_serialization=chance.random() < 0.7)
    else:
        pickle.dump(holder, saved, protocol=chance.randrange(6))
    return trials.add(trials.signed("weights.pt", saved.getvalue()), forged=True)


def canary_in_example(trials: FileTrials, chance: random.Random) -> Outcome:
    """Try a package of another program whose example is a pickle, not numbers."""
    saved = io.BytesIO()
    values = np.array([Canary(trials.sung)], dtype=object)
    np.save(saved, values, allow_pickle=True)
    name = chance.choice(("test_input.npy", "test_output.npy"))
    other = json.loads(json.dumps(trials.description, default=str))
    del other["weights"]["pytorch_state_dict"], other["weights"]["torchscript"]
    del other["weights"]["onnx"]["parent"]
    for entry in entries_of(other):
        if entry["source"] == name:
            entry["sha256"] = hashlib.sha256(saved.getvalue()).hexdigest()
    changed = {DESCRIPTION: dumped(other), name: saved.getvalue()}
    return trials.add(trials.with_files(changed), forged=True)


KINDS: dict[str, Callable[[FileTrials, random.Random], Outcome]] = {
    trial.__name__: trial
    for trial in (
        model_file,
        sizes_of_model_file,
        imported_model_file,
        package,
        listed_file,
        description,
        weights,
        archive,
        canary,
        canary_in_example,
    )
}
"""The kinds of trials, by their names."""
