"""The rows of the table: a network, how it starts, and what it learns from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reproduction.datasets import DATASETS

if TYPE_CHECKING:
    from collections.abc import Mapping

Scale = Literal["quick", "full"]
"""On a CPU within half an hour, or on a GPU with the widths of the papers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as a row trains it.

    Attributes
    ----------
    architecture
        A name in ``unet_engine.models.spec.ARCHITECTURES``.
    backbone
        The classifier below it, or ``""``.
    coarser
        Key of the network that it starts from, or ``""``.
    spec
        Fields of ``ModelSpec`` for each scale.
    config
        Fields of ``FineTuneConfig`` for each scale, besides the network's recipe.
    minutes
        Longest training at each scale.
    """

    architecture: str
    backbone: str = ""
    coarser: str = ""
    spec: Mapping[Scale, Mapping[str, Any]]
    config: Mapping[Scale, Mapping[str, Any]]
    minutes: Mapping[Scale, float]


_CROPS: dict[Scale, dict[str, Any]] = {"quick": {}, "full": {"crop": 256, "batch": 8}}
"""Pixels of an edge of a crop, and crops in a batch, where they are not the default."""


def _fcn(stride: int, trunk: str) -> Network:
    coarser = "" if stride == 32 else f"fcn{2 * stride}s-{trunk}"
    return Network(
        architecture=f"fcn{stride}s-{trunk}",
        backbone={"vgg16": "VGG-16", "alexnet": "AlexNet"}[trunk],
        coarser=coarser,
        spec={"quick": {"width": 16, "dense_width": 256}, "full": {}},
        # Without normalisation there are no statistics that need small steps.
        config={scale: {**_CROPS[scale], "statistics": "batch"} for scale in _CROPS},
        # Each finer one goes on where the coarser one ended.
        minutes={"quick": 2.5, "full": 8.0},
    )


NETWORKS: dict[str, Network] = {
    # Quick: small enough for a CPU; full: the published width, for a GPU.
    "unet": Network(
        architecture="unet",
        spec={"quick": {}, "full": {"width": 64}},
        config=_CROPS,
        minutes={"quick": 30.0, "full": 8.0},
    ),
    "unet-valid": Network(
        architecture="unet-valid",
        spec={"quick": {"width": 16}, "full": {}},
        config={"quick": {"crop": 196}, "full": {}},
        minutes={"quick": 6.0, "full": 8.0},
    ),
    "autoencoder": Network(
        architecture="autoencoder",
        spec={"quick": {}, "full": {"width": 64}},
        config=_CROPS,
        minutes={"quick": 5.0, "full": 8.0},
    ),
    **{
        f"fcn{stride}s-{trunk}": _fcn(stride, trunk)
        for trunk in ("vgg16", "alexnet")
        for stride in (32, 16, 8)
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line, or one for each metric, of the table.

    Attributes
    ----------
    network, data
        Keys of ``NETWORKS`` and ``DATASETS``.
    images
        Number of training images; None for all.
    spec, config
        Fields of ``ModelSpec`` and ``FineTuneConfig`` that this row is about.
    note
        What the row is about, in words.
    minutes
        Longest training at each scale, if not as usual for the network.
    """

    network: str
    data: str
    images: int | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    minutes: Mapping[Scale, float] = field(default_factory=dict)


_UNVARIED = {"flips": False, "scaling": 1.0, "intensity": 0.0}
"""Settings that switch off all augmentation but the elastic deformation."""
_FEW_IMAGES: dict[Scale, float] = {"quick": 4.0}
"""Minutes for trainings on two images, which converge earlier."""

ROWS: dict[str, Row] = (
    {
        f"{network}-{data}": Row(network=network, data=data)
        for data in DATASETS
        for network in NETWORKS
    }
    | {
        "unet-em-wide": Row(
            network="unet",
            data="em",
            spec={"width": 32},
            # A single slice chooses the weights: each of the few counts.
            config={"validation": 0.06},
            note="32 channels, 1 slice held out instead of 3",
        ),
    }
    | {
        f"unet-{data}-2images{name}": Row(
            network="unet",
            data=data,
            images=2,
            config=config,
            note=note,
            minutes=_FEW_IMAGES,
        )
        for data in DATASETS
        for name, config, note in (
            ("", {}, "2 images, all variations"),
            ("-rigid", {"elastic": 0.0}, "2 images, all variations but elastic"),
            ("-elastic", _UNVARIED, "2 images, elastic alone"),
            ("-bare", {**_UNVARIED, "elastic": 0.0}, "2 images, no variations"),
        )
    }
)


def coarser_row(name: str) -> str | None:
    """Return the row whose model this one starts from."""
    row = ROWS[name]
    coarser = NETWORKS[row.network].coarser
    return f"{coarser}-{row.data}" if coarser else None
