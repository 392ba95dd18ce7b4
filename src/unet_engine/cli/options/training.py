"""Options of what a training starts from, and of what it leads to.

Annotations here are read at run time, also by the modules of the commands, so this
module must not import ``annotations`` from ``__future__``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from unet_engine.cli.options.parameters import NETWORK, Flag, QuietOption, parse_whole
from unet_engine.models.spec import ARCHITECTURES
from unet_engine.models.store import SUFFIX


def _parse_name(kind: Any, tokens: Sequence[Token]) -> str:
    """Read the name of a new model, which has no suffix."""
    return tokens[-1].value.removesuffix(SUFFIX)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainingOptions(QuietOption):
    """Where a new model goes.

    Parameters
    ----------
    out
        Name of the new model.
    overwrite
        Replace the model NAME when the training was complete and successful.
    """

    out: Annotated[str, Parameter(converter=_parse_name, metavar="NAME")]
    overwrite: Flag = False


def _parse_classes(kind: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(name.strip() for name in tokens[-1].value.split(","))


_NETWORK = Annotated[
    int | None, Parameter(group=NETWORK, metavar="N", converter=parse_whole)
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class StartOptions(QuietOption):
    """What a training starts from.

    Parameters
    ----------
    parent
        Name or file of the model to start from: one to tune, one that was pretrained,
        or a coarser FCN for a finer --architecture (default: a fresh U-Net).
    classes
        Names of all classes, the background first.
    architecture
        Network of a new model, trained with the settings of its paper unless others are
        given (default: that of --from, else unet).
    imagenet
        Start an FCN from VGG-16 or AlexNet as trained on ImageNet; the weights are
        fetched once.
    ndim
        Dimensions of a fresh model: 2 takes the planes of a stack one by one, 3 takes
        volumes and learns from stacks of which a few slices are labelled (the others:
        255) (default: 2, or what the architecture is made for).
    depth
        Its poolings (default: as published, which is 3 for volumes).
    width
        Channels of its first level (default: 16 of a U-Net, else as published).
    z_poolings
        How many of its poolings, the deepest ones, also pool along Z (default: fewer
        for stacks of few slices or of slices that lie far apart).
    dense_width
        Channels of the two dense layers of an FCN (default: as published).
    """

    parent: Annotated[str | None, Parameter(name="--from", metavar="MODEL")] = None
    classes: Annotated[
        tuple[str, ...] | None,
        Parameter(converter=_parse_classes, n_tokens=1, metavar="A,B,..."),
    ] = None
    architecture: Annotated[
        str | None, Parameter(choices=tuple(ARCHITECTURES), metavar="CHOICE")
    ] = None
    imagenet: Flag = False
    ndim: Annotated[Literal[2, 3] | None, Parameter(group=NETWORK)] = None
    depth: _NETWORK = None
    width: _NETWORK = None
    z_poolings: _NETWORK = None
    dense_width: _NETWORK = None
