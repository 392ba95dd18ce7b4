"""``Checkpoint``: a model in one file.

A file is safetensors: an 8-byte length, a JSON header with spec and history, and the
raw tensors. Nothing in it is ever executed, and the header is readable without torch.
Of version 2 is a file with pixel classifiers, of version 1 one with a network alone.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from unet_engine.errors import CheckpointError
from unet_engine.failures import quoted
from unet_engine.files.atomic import whole_file
from unet_engine.models.beside.notes import ModelNotes, read_notes
from unet_engine.models.classifier_file import (
    PREFIX,
    ClassifierSummary,
    part_tensors,
    read_part,
)
from unet_engine.models.classifier_part import find_problem
from unet_engine.models.model_header import FORMAT, SUFFIX, ModelHeader, read_header

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.models.spec import ModelSpec

__all__ = ["FORMAT", "SUFFIX", "Checkpoint", "ModelInfo", "read_info"]

_ADVICE_ON_WEIGHTS = (
    "choose another model, or train it again from its parent with a lower learning rate"
)
_VARIANCE = "running_var"
"""How PyTorch names the variances of a BatchNorm; their square root is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A model: what it is, its weights, and how it came to be.

    Attributes
    ----------
    spec
        Enough to build the network and to prepare its input.
    weights
        Array of each entry of the network's state; none when ``classifier`` is all
        that there is.
    history
        One dict of JSON values per training, the first training first, with ``name``,
        ``parent``, ``created`` (UTC, ISO 8601), ``steps``, ``seconds``, the data and
        the validation before and after. Empty for fresh weights. ``pretrained`` is
        true in the entry of a start that was not trained on labels of its classes;
        ``fresh`` is then "head" if only the last layer is new. ``start`` is true in
        the entry of a model that is made to be tuned, whatever its classes.
    path
        The file that it was loaded from, to name in messages.
    classifier
        Pixel classifiers that were fitted to strokes, whose probabilities are averaged
        with those of the network; None for the network alone.
    """

    spec: ModelSpec
    weights: Mapping[str, npt.NDArray[Any]]
    history: tuple[dict[str, Any], ...] = ()
    path: Path | None = None
    classifier: ClassifierPart | None = None

    @property
    def title(self) -> str:
        """What to call it in messages: its file, else its name."""
        if self.path is not None:
            return f"the model {self.path}"
        return f"the model {self.name!r}" if self.name else "the model"

    @property
    def name(self) -> str:
        """Name it was last saved under, or ``""``."""
        return str(self.history[-1].get("name") or "") if self.history else ""

    @property
    def trained(self) -> bool:
        """Whether it learned its classes, and is not fresh or only pretrained."""
        return _learned_classes(self.history)

    @property
    def fresh_head(self) -> bool:
        """Whether all but its last layer, which gives the classes, is trained."""
        return bool(self.history) and self.history[-1].get("fresh") == "head"

    @property
    def is_start(self) -> bool:
        """Whether it is made to be tuned, and its own classes matter little."""
        return _is_start(self.history)

    @property
    def has_network(self) -> bool:
        """Whether it has a network that gives its classes."""
        return bool(self.weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, whole or not at all.

        Raises
        ------
        DataError
            When the folder cannot be written to; a file at ``path`` is untouched then.
        """
        content = self.to_bytes()
        with whole_file(path) as temporary:
            temporary.write_bytes(content)

    def to_bytes(self) -> bytes:
        """Return what a file of it contains, the same for the same model."""
        tensors = {name: _plain(array) for name, array in self.weights.items()}
        header = {
            "format": FORMAT,
            "version": "1" if self.classifier is None else "2",
            "spec": json.dumps(self.spec.to_dict(), sort_keys=True),
            "history": json.dumps(self.history, sort_keys=True),
        }
        if self.classifier is not None:
            parts = part_tensors(self.classifier)
            tensors |= {name: _plain(array) for name, array in parts.items()}
            summary = ClassifierSummary.of(self.classifier)
            header["classifier"] = json.dumps(summary.to_dict(), sort_keys=True)
        header["digest"] = _digest(header, tensors)
        return _in_order(safetensors.numpy.save(tensors, metadata=header))

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """Return the model whose ``to_bytes`` this is.

        Raises
        ------
        CheckpointError
            As ``load``.
        """
        # The reader of a file checks all that arrives, and wants one.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"model{SUFFIX}")
            path.write_bytes(content)
            return replace(cls.load(path), path=None)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Read a file and verify that it is complete and unchanged.

        Raises
        ------
        CheckpointError
            When it is missing, damaged, of another program, changed, of a newer
            version, or has weights that are no numbers.
        """
        path = Path(path)
        header = read_header(path)
        try:
            tensors = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{path} is damaged ({quoted(error)}); copy or download it again"
            ) from error
        if _digest(header.text, tensors) != header.digest:
            raise CheckpointError(
                f"{path} was changed after it was saved: its spec, history or weights "
                "do not match its digest; use the original file"
            )
        if problem := find_bad_weight(tensors):
            raise CheckpointError(
                f"{path} cannot be used: {problem}; {_ADVICE_ON_WEIGHTS}"
            )
        part = _read_classifier(header, tensors, path)
        if part is not None:
            tensors = {n: t for n, t in tensors.items() if not n.startswith(PREFIX)}
        return cls(header.spec, tensors, header.history, path, part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the header of a model file holds.

    Attributes
    ----------
    name
        File name without its suffix.
    bundled
        True when the model came with the package.
    size
        Of the file in bytes.
    classifier
        Summary of its pixel classifiers; None when it has none.
    has_network
        As of a ``Checkpoint``.
    notes
        What the user wrote about it; models are equal whatever that is.
    """

    name: str
    path: Path
    spec: ModelSpec
    history: tuple[dict[str, Any], ...]
    bundled: bool
    size: int
    classifier: ClassifierSummary | None = None
    has_network: bool = True
    notes: ModelNotes = field(default=ModelNotes(), compare=False)

    @property
    def known_as(self) -> tuple[str, ...]:
        """Its name, and those that it had, by which strokes and children know it."""
        recorded = str(self.history[-1].get("name") or "") if self.history else ""
        names = (self.name, recorded, *self.notes.former_names)
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def trained(self) -> bool:
        """As of a ``Checkpoint``."""
        return _learned_classes(self.history)

    @property
    def is_start(self) -> bool:
        """As of a ``Checkpoint``."""
        return _is_start(self.history)


def _is_start(history: Sequence[Mapping[str, Any]]) -> bool:
    return bool(history) and bool(history[-1].get("start"))


def _learned_classes(history: Sequence[Mapping[str, Any]]) -> bool:
    return not all(entry.get("pretrained") for entry in history)


def read_info(path: str | os.PathLike[str], *, bundled: bool = False) -> ModelInfo:
    """Read the header of a model file, without its weights.

    Raises
    ------
    CheckpointError
        When it is missing, truncated, of another program, or of a newer version.
    """
    path = Path(path)
    header = read_header(path)
    return ModelInfo(
        name=path.stem,
        path=path,
        spec=header.spec,
        history=header.history,
        classifier=header.classifier,
        has_network=header.has_network,
        bundled=bundled,
        size=path.stat().st_size,
        notes=ModelNotes() if bundled else read_notes(path),
    )


def find_bad_weight(weights: Mapping[str, npt.NDArray[Any]]) -> str:
    """Describe the first weight that no network can compute with.

    NaN and infinite weights are left by a training that diverged or by a damaged
    conversion; of one of them every pixel of a prediction becomes NaN.

    Parameters
    ----------
    weights
        Arrays of any shape and dtype by name; only floating ones are checked.

    Returns
    -------
    str
        A clause for a message; ``""`` if all are fine.
    """
    for name, array in weights.items():
        if array.dtype.kind != "f":
            continue
        finite = np.isfinite(array)
        if not finite.all():
            count = array.size - int(np.count_nonzero(finite))
            return f"{count} of {array.size} weights in {name!r} are NaN or infinite"
        if name.endswith(_VARIANCE) and (array < 0).any():
            return f"a variance in {name!r} is below 0"
    return ""


def check_weights(checkpoint: Checkpoint) -> None:
    """Refuse a model in memory that no network can compute with.

    Raises
    ------
    CheckpointError
        When a weight is NaN or infinite, or a variance is below 0.
    """
    problem = find_bad_weight(checkpoint.weights)
    if checkpoint.classifier is not None:
        problem = problem or _find_in_classifier(
            checkpoint.classifier, checkpoint.spec, checkpoint.has_network
        )
    if problem:
        raise CheckpointError(
            f"{checkpoint.title} cannot be used: {problem}; {_ADVICE_ON_WEIGHTS}"
        )


def _read_classifier(
    header: ModelHeader, tensors: Mapping[str, npt.NDArray[Any]], path: Path
) -> ClassifierPart | None:
    """Read the pixel classifiers of a file and check all that they compute with."""
    if header.classifier is None:
        return None
    try:
        part = read_part(header.classifier, tensors)
    except ValueError as error:
        raise CheckpointError(
            f"{path} describes pixel classifiers that it does not hold: "
            f"{quoted(error)}; use the original file"
        ) from error
    if problem := _find_in_classifier(part, header.spec, header.has_network):
        raise CheckpointError(f"{path} cannot be used: {problem}; choose another model")
    return part


def _find_in_classifier(part: ClassifierPart, spec: ModelSpec, network: bool) -> str:
    if part.network_share > 0 and not network:
        return "it has no network, and its network has a share in the mean"
    return find_problem(part, spec)


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array as the file stores it: row by row, little-endian."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _in_order(content: bytes) -> bytes:
    """Sort the metadata of a file, whose order safetensors leaves to chance."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    # Data begin at a multiple of 8 bytes, as the format recommends.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def _digest(header: Mapping[str, str], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Hash all that makes the model."""
    digest = hashlib.sha256()
    for value in header.values():
        digest.update(json.dumps(value).encode())
    for name in sorted(tensors):
        array = _plain(tensors[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
