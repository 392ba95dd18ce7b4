"""The description of a model in the terms of bioimage.io."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine import __version__
from unet_engine.model_packages import network as exported
from unet_engine.model_packages.library import CONFIG, load_model_spec
from unet_engine.model_packages.tensors import (
    fits_together,
    joined_channels,
    least_input,
    states_brightness,
)
from unet_engine.model_packages.weights import ONNX_OPSET
from unet_engine.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec

_EPSILON = 1e-6
"""That bioimage.io adds to the difference of two percentiles; its default."""

_SPDX = (
    ("CC0", "CC0-1.0"),
    ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
    ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
    ("CC BY 4.0", "CC-BY-4.0"),
    ("BSD-3-Clause", "BSD-3-Clause"),
    ("Apache-2.0", "Apache-2.0"),
    ("MIT", "MIT"),
)
"""How licences begin in a card, and their identifiers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a package holds, in one folder.

    Attributes
    ----------
    input, output, page, cover, state, environment, torchscript
        As named.
    onnx, licence
        None where there is none.
    """

    input: Path
    output: Path
    page: Path
    cover: Path
    state: Path
    environment: Path
    torchscript: Path
    onnx: Path | None
    licence: Path | None


def describe(
    checkpoint: Checkpoint,
    files: Files,
    *,
    name: str,
    parent: str,
    licence: str,
    authors: Sequence[str],
) -> Any:
    """Return the ``ModelDescr`` of a package.

    Parameters
    ----------
    checkpoint, files, name
        The model, its files, what it is called.
    parent
        The model that it was tuned from; empty for none.
    licence
        As its card states it; empty when it does not.
    authors
        Names of people.
    """
    spec05, spec = load_model_spec(), checkpoint.spec
    return spec05.ModelDescr(
        name=_plain_name(name),
        description=_description(spec),
        authors=[spec05.Author(name=author) for author in authors],
        license=spdx_of(licence)
        or (None if files.licence is None else spec05.FileDescr(source=files.licence)),
        cite=[
            spec05.CiteEntry(text=ARCHITECTURES[spec.architecture].reference, url=_PAGE)
        ],
        git_repo=_PAGE,
        tags=["segmentation", "napari", spec.architecture, f"{spec.ndim}d"],
        covers=[spec05.FileDescr(source=files.cover)],
        documentation=spec05.FileDescr(source=files.page),
        parent=_parent(parent),
        inputs=[_input(spec, files)],
        outputs=[_output(spec, files)],
        weights=_weights(spec, files),
        config=spec05.Config(
            bioimageio=_tolerances(files), **{CONFIG: _own(checkpoint, name)}
        ),
    )


_PAGE = "https://github.com/napari-unet-finetune/napari-unet-finetune"


_USUAL_TOLERANCE = 1e-3
"""Absolute, by which an example may come out otherwise; the default of bioimage.io."""


def _tolerances(files: Files) -> Any:
    """Return how exactly the example has to come out: of small numbers more exactly."""
    spec05 = load_model_spec()
    largest = float(np.load(files.output).max())
    # More than a hundredth of the largest number is refused.
    absolute = max(0.0, min(_USUAL_TOLERANCE, 0.01 * largest))
    if absolute == _USUAL_TOLERANCE:
        return spec05.BioimageioConfig()
    tolerance = spec05.ReproducibilityTolerance(absolute_tolerance=absolute)
    return spec05.BioimageioConfig(reproducibility_tolerance=[tolerance])


def spdx_of(licence: str) -> str:
    """Return the identifier of a licence that is known; empty for any other."""
    return next((spdx for text, spdx in _SPDX if licence.startswith((text, spdx))), "")


def _plain_name(name: str) -> str:
    """Return a name in the letters that bioimage.io allows, five at least."""
    plain = re.sub(r"[^A-Za-z0-9_+\- ()]", "_", name)[:64]
    return plain if len(plain) >= 5 else f"model {plain}"


def _description(spec: ModelSpec) -> str:
    title = ARCHITECTURES[spec.architecture].title
    what = ", ".join(spec.classes) or "images without noise"
    return f"{title} in {spec.ndim}-D that gives {what}"[:500]


def _parent(name: str) -> Any:
    if not name:
        return None
    identifier = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    return load_model_spec().LinkedModel(id=identifier) if identifier else None


def _input(spec: ModelSpec, files: Files) -> Any:
    spec05 = load_model_spec()
    least, footprint = least_input(spec), spec.footprint
    axes = [
        spec05.BatchAxis(),
        spec05.ChannelAxis(
            channel_names=[f"channel{n}" for n in range(spec.in_channels)]
        ),
    ]
    axes += [
        spec05.SpaceInputAxis(
            id=name,
            size=spec05.ParameterizedSize(min=least[n], step=footprint.divisor[n]),
        )
        for n, name in enumerate(_names(spec))
    ]
    return spec05.InputTensorDescr(
        id="input",
        description="an image" if states_brightness(spec) else "an image, prepared",
        axes=axes,
        data=spec05.IntervalOrRatioDataDescr(type="float32"),
        test_tensor=spec05.FileDescr(source=files.input),
        preprocessing=_preprocessing(spec),
    )


def _preprocessing(spec: ModelSpec) -> list[Any]:
    spec05 = load_model_spec()
    steps = [
        spec05.EnsureDtypeDescr(kwargs=spec05.EnsureDtypeKwargs(dtype="float32")),
        spec05.ClipDescr(kwargs=spec05.ClipKwargs(min=-1.0, max=5.0)),
    ]
    if states_brightness(spec):
        axes = ["channel"] if joined_channels(spec) else []
        kwargs = spec05.ScaleRangeKwargs(
            axes=[*axes, *_names(spec)],
            min_percentile=spec.low_percentile,
            max_percentile=spec.high_percentile,
            eps=_EPSILON,
        )
        steps.insert(1, spec05.ScaleRangeDescr(kwargs=kwargs))
    return steps


def _output(spec: ModelSpec, files: Files) -> Any:
    spec05 = load_model_spec()
    names = [*spec.classes, *spec.object_maps] or [
        f"channel{n}" for n in range(spec.in_channels)
    ]
    axes = [spec05.BatchAxis(), spec05.ChannelAxis(channel_names=names)]
    smaller = fits_together(spec)
    for n, name in enumerate(_names(spec)):
        size = {"tensor_id": "input", "axis_id": name, "offset": -2 * smaller[n]}
        halo = spec.footprint.halo[n]
        if smaller[n] or not halo:
            axes.append(spec05.SpaceOutputAxis(id=name, size=size))
        else:
            axes.append(spec05.SpaceOutputAxisWithHalo(id=name, size=size, halo=halo))
    return spec05.OutputTensorDescr(
        id="output",
        description="probabilities" if spec.classes else "an image",
        axes=axes,
        data=spec05.IntervalOrRatioDataDescr(
            type="float32", range=(0.0, 1.0) if spec.classes else (None, None)
        ),
        test_tensor=spec05.FileDescr(source=files.output),
    )


def _names(spec: ModelSpec) -> list[str]:
    return list("zyx"[-spec.ndim :])


def _weights(spec: ModelSpec, files: Files) -> Any:
    spec05, version = load_model_spec(), torch.__version__.partition("+")[0]
    architecture = spec05.ArchitectureFromLibraryDescr(
        import_from=exported.IMPORT_FROM,
        callable=exported.CALLABLE,
        kwargs={"spec": spec.to_dict()},
    )
    return spec05.WeightsDescr(
        pytorch_state_dict=spec05.PytorchStateDictWeightsDescr(
            source=files.state,
            architecture=architecture,
            pytorch_version=version,
            dependencies=spec05.FileDescr(source=files.environment),
        ),
        torchscript=spec05.TorchscriptWeightsDescr(
            source=files.torchscript,
            pytorch_version=version,
            parent="pytorch_state_dict",
        ),
        onnx=None
        if files.onnx is None
        else spec05.OnnxWeightsDescr(
            source=files.onnx, opset_version=ONNX_OPSET, parent="pytorch_state_dict"
        ),
    )


def _own(checkpoint: Checkpoint, name: str) -> dict[str, str]:
    """Return what only this package reads: where the model came from."""
    # Text, as it may hold values that YAML does not.
    history = json.dumps(checkpoint.history, sort_keys=True)
    return {"name": name, "history": history, "version": __version__}
