"""``Checkpoint``: a model in one file.

A file is safetensors: an 8-byte length, a JSON header with spec and history, and the
raw tensors. Nothing in it is ever executed, and the header is readable without torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from unet_engine.errors import CheckpointError, SpecError
from unet_engine.files.atomic import whole_file
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

SUFFIX = ".safetensors"
FORMAT = "napari-unet-finetune"
VERSION = 1
"""Of the format; a file with a higher one is refused."""

_LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library, so that no damaged length is read."""

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
        Array of each entry of the network's state.
    history
        One dict of JSON values per training, the first training first, with ``name``,
        ``parent``, ``created`` (UTC, ISO 8601), ``steps``, ``seconds``, the data and
        the validation before and after. Empty for fresh weights. ``pretrained`` is
        true in the entry of a start that was not trained on labels of its classes;
        ``fresh`` is then "head" if only the last layer is new. ``start`` is true in
        the entry of a model that is made to be tuned, whatever its classes.
    path
        The file that it was loaded from, to name in messages.
    """

    spec: ModelSpec
    weights: Mapping[str, npt.NDArray[Any]]
    history: tuple[dict[str, Any], ...] = ()
    path: Path | None = None

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one safetensors file, whole or not at all.

        Raises
        ------
        DataError
            When the folder cannot be written to; a file at ``path`` is untouched then.
        """
        tensors = {name: _plain(array) for name, array in self.weights.items()}
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "spec": json.dumps(self.spec.to_dict(), sort_keys=True),
            "history": json.dumps(self.history, sort_keys=True),
        }
        header["digest"] = _digest(header, tensors)
        content = safetensors.numpy.save(tensors, metadata=header)
        with whole_file(path) as temporary:
            temporary.write_bytes(content)

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
        header = _read_header(path)
        spec, history = _parse(header, path)
        try:
            weights = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}); copy or download it again"
            ) from error
        if _digest(header, weights) != header.get("digest"):
            raise CheckpointError(
                f"{path} was changed after it was saved: its spec, history or weights "
                "do not match its digest; use the original file"
            )
        if problem := find_bad_weight(weights):
            raise CheckpointError(
                f"{path} cannot be used: {problem}; {_ADVICE_ON_WEIGHTS}"
            )
        return cls(spec, weights, history, path)


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
    """

    name: str
    path: Path
    spec: ModelSpec
    history: tuple[dict[str, Any], ...]
    bundled: bool
    size: int

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
    spec, history = _parse(_read_header(path), path)
    return ModelInfo(
        name=path.stem,
        path=path,
        spec=spec,
        history=history,
        bundled=bundled,
        size=path.stat().st_size,
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
    if problem := find_bad_weight(checkpoint.weights):
        raise CheckpointError(
            f"{checkpoint.title} cannot be used: {problem}; {_ADVICE_ON_WEIGHTS}"
        )


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array as the file stores it: row by row, little-endian."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _digest(header: Mapping[str, str], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Hash all that makes the model."""
    digest = hashlib.sha256()
    for key in ("format", "version", "spec", "history"):
        digest.update(json.dumps(header[key]).encode())
    for name in sorted(tensors):
        array = _plain(tensors[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read_header(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors header, checked to be a model's, complete."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
                raise CheckpointError(
                    f"{path} is no model file, or it is truncated; choose a {SUFFIX} "
                    "file that this plugin saved"
                )
            content = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be opened: {error.strerror}; check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no model file; choose a {SUFFIX} file that this plugin saved"
        ) from error
    ours = content.pop("__metadata__", None) if isinstance(content, dict) else None
    keys = ("format", "version", "spec", "history", "digest")
    if (
        not isinstance(ours, dict)
        or ours.get("format") != FORMAT
        or not all(isinstance(ours.get(key), str) for key in keys)
    ):
        raise CheckpointError(
            f"{path} holds tensors, but not of a model of {FORMAT}; choose a file that "
            "this plugin saved"
        )
    _check_version(ours["version"], path)
    _check_length(content, size - 8 - length, path)
    return {key: ours[key] for key in keys}


def _check_version(version: str, path: Path) -> None:
    if version not in map(str, range(1, VERSION + 1)):
        raise CheckpointError(
            f"{path} has version {version[:20]}, this package reads up to {VERSION}; "
            f"update {FORMAT}"
        )


def _check_length(tensors: dict[str, Any], size: int, path: Path) -> None:
    try:
        promised = max(
            (entry["data_offsets"][1] for entry in tensors.values()), default=0
        )
        complete = promised == size
    except (TypeError, KeyError, IndexError):
        complete = False
    if not complete:
        raise CheckpointError(
            f"{path} is truncated or damaged; copy or download it again"
        )


def _parse(
    header: Mapping[str, str], path: Path
) -> tuple[ModelSpec, tuple[dict[str, Any], ...]]:
    try:
        values, history = json.loads(header["spec"]), json.loads(header["history"])
        if not isinstance(values, dict) or not isinstance(history, list):
            raise ValueError("spec or history is of a wrong type")
        if not all(isinstance(entry, dict) for entry in history):
            raise ValueError("an entry of the history is of a wrong type")
        return ModelSpec.from_dict(values), tuple(history)
    except (ValueError, TypeError, RecursionError, SpecError) as error:
        raise CheckpointError(
            f"{path} describes no model that can be built: {error}"
        ) from error
