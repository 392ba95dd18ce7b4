"""The header of a model file: all that is known without reading its tensors."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import CheckpointError, SpecError
from unet_engine.failures import quoted
from unet_engine.models.classifier_file import PREFIX, ClassifierSummary
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX = ".safetensors"
FORMAT = "napari-unet-finetune"
VERSION = 2
"""Of the format; a file with a higher one is refused. Version 2 has pixel classifiers,
version 1 a network alone."""

KEYS = ("format", "version", "spec", "history")
"""Of what is signed in every version; version 2 has ``classifier`` as well."""

_LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library, so that no damaged length is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHeader:
    """What the header of a model file holds.

    Attributes
    ----------
    text
        The values as they stand there, by name.
    digest
        Of ``text`` and of the tensors.
    spec, history
        As of a ``Checkpoint``.
    classifier
        Summary of its pixel classifiers; None without any.
    has_network
        Whether there are weights of a network that gives the classes.
    """

    text: Mapping[str, str]
    digest: str
    spec: ModelSpec
    history: tuple[dict[str, Any], ...]
    classifier: ClassifierSummary | None
    has_network: bool


def read_header(path: Path) -> ModelHeader:
    """Read the header of a model file, without its tensors.

    Raises
    ------
    CheckpointError
        When it is missing, truncated, of another program, or of a newer version.
    """
    content, size = _read_content(path)
    ours = content.pop("__metadata__", None) if isinstance(content, dict) else None
    if (
        not isinstance(ours, dict)
        or ours.get("format") != FORMAT
        or not all(isinstance(ours.get(key), str) for key in (*KEYS, "digest"))
    ):
        raise CheckpointError(
            f"{path} holds tensors, but not of a model of {FORMAT}; choose a file that "
            "this plugin saved"
        )
    _check_version(ours["version"], path)
    _check_length(content, size, path)
    network = any(not name.startswith(PREFIX) for name in content)
    return _parse(ours, network, path)


def _read_content(path: Path) -> tuple[Any, int]:
    """Return what the header holds, and the bytes of the tensors behind it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _LARGEST_HEADER):
                raise CheckpointError(
                    f"{path} is no model file, or it is truncated; choose a {SUFFIX} "
                    "file that this plugin saved"
                )
            return json.loads(file.read(length)), size - 8 - length
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be opened: {error.strerror}; check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no model file; choose a {SUFFIX} file that this plugin saved"
        ) from error


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


def _parse(ours: Mapping[str, Any], network: bool, path: Path) -> ModelHeader:
    kept = KEYS if ours["version"] == "1" else (*KEYS, "classifier")
    try:
        if missing := [key for key in kept if not isinstance(ours.get(key), str)]:
            raise ValueError(f"its header has no {missing[0]!r}")
        text = {key: str(ours[key]) for key in kept}
        values, history = json.loads(text["spec"]), json.loads(text["history"])
        if not isinstance(values, dict) or not isinstance(history, list):
            raise ValueError("spec or history is of a wrong type")
        if not all(isinstance(entry, dict) for entry in history):
            raise ValueError("an entry of the history is of a wrong type")
        described = json.loads(text["classifier"]) if "classifier" in text else None
        if not isinstance(described, dict | None):
            raise ValueError("its pixel classifiers are of a wrong type")
        return ModelHeader(
            text=text,
            digest=ours["digest"],
            spec=ModelSpec.from_dict(values),
            history=tuple(history),
            classifier=(
                None if described is None else ClassifierSummary.from_dict(described)
            ),
            has_network=network,
        )
    except (ValueError, TypeError, RecursionError, SpecError) as error:
        raise CheckpointError(
            f"{path} describes no model that can be built: {quoted(error, 500)}"
        ) from error
