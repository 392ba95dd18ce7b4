"""``iter_propose``: try models on a part of an image, the one that suits it best first.

Whole images are not predicted: the brightness is measured on the image, the size of
objects is estimated as in a prediction, and a part with contrast is predicted in a few
ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from unet_engine.errors import CheckpointError
from unet_engine.generators import drain
from unet_engine.images.stains import is_stain
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.fitting import why_not_read
from unet_engine.prediction.proposals.agreement import examine_part
from unet_engine.prediction.proposals.picture import picture_of
from unet_engine.prediction.proposals.trial_part import trial_part
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index
    from unet_engine.prediction.proposals.agreement import Finding
    from unet_engine.prediction.scale import SizeEstimate
    from unet_engine.stopping import Stop

_EDGE = 256
"""Edge in pixels of the model's grid of the part: some dozen objects, and a second."""

CONVINCING = 0.65
"""Score from which on a model suits an image: below those of most images of what a
model was trained on, above those of nearly all others."""

_DOUBT = 0.75
"""What the score is multiplied by for each reason to doubt it, where the image is no
stain that the model reads: scales disagree on the size of objects, or what lies between
the objects is no background. Such a finding is a texture more often."""

_UNLIKE = _DOUBT**2
"""What it is multiplied by where the image is of another kind than those of the
training, by its background or as it is stained: transmitted light and fluorescence show
different things, however sure a model is."""

_BRIGHTEST_BACKGROUND = 0.27
"""Mean brightness of a background at most, where 0 is that of the background and 1 that
of objects: between the cells of a tissue in an electron microscope it is 0.29 and more,
between dense nuclei up to 0.24."""

_START = "marks objects of any kind: a start for strokes"
"""Of a start of trainings that is sure of what it finds."""

_LEAST_SHARE, _MOST_SHARE = 0.002, 0.9
"""Of the part that a model finds, at least and at most: one that finds nothing, or
marks all there is, agrees with itself whatever the image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """What a model finds in a part of an image, and how convincing that is.

    Attributes
    ----------
    model
        The model.
    score
        0 to 1: how sure it is of what it finds, how well that agrees with what it finds
        in the part mirrored and resized, and whether that is objects of a size on a
        background.
    suits
        Whether the score is convincing, of a model that is a tool. One that is the
        start of a training marks whatever looks like an object.
    reason
        Why, in a few words.
    index
        The plane of the part.
    picture
        ``(h, w, 3)`` uint8, the part on the grid of the model, to be shown.
    labels
        ``(h, w)`` uint8 class ids of the part.
    """

    model: ModelInfo
    score: float
    suits: bool
    reason: str
    index: Index
    picture: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposals:
    """Models that were tried on an image.

    Attributes
    ----------
    ranked
        The best first: those that suit it, other tools, starts of trainings.
    left_out
        Why others could not be tried, a sentence each.
    """

    ranked: tuple[Proposal, ...]
    left_out: tuple[str, ...] = ()

    @property
    def best(self) -> Proposal | None:
        """The first one if it suits the image, else None."""
        return self.ranked[0] if self.ranked and self.ranked[0].suits else None


def propose(
    image: Image,
    models: Sequence[ModelInfo],
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
) -> Proposals:
    """Try models on a part of an image, as `iter_propose` does."""
    return drain(iter_propose(image, models, config, stop=stop))


def iter_propose(
    image: Image,
    models: Sequence[ModelInfo],
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
) -> Generator[Proposal, None, Proposals]:
    """Try models on a part of an image, and yield each as it was tried.

    Parameters
    ----------
    image
        Any number of planes; some windows of it are read.
    models
        Those to try, such as the bundled ones.
    config
        Where they run, and the size of objects and pixels, where it is known.
    stop
        Polled before every layer of a network.

    Returns
    -------
    Proposals
        The best first.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    DataError
        When the image cannot be read.
    """
    config = config or PredictConfig()
    found: list[Proposal] = []
    left_out: list[str] = []
    for model in models:
        if why := _why_not(image, model):
            left_out.append(f"{model.name} was not tried: {why}")
            continue
        try:
            checkpoint = Checkpoint.load(model.path)
        except CheckpointError as error:
            left_out.append(f"{model.name} was not tried: {error}")
            continue
        proposal = _tried(image, model, checkpoint, config, stop)
        if proposal is None:
            left_out.append(
                f"{model.name} was not tried: the image is too small at its scale"
            )
            continue
        found.append(proposal)
        yield proposal
    ranked = sorted(found, key=_rank, reverse=True)
    return Proposals(ranked=tuple(ranked), left_out=tuple(left_out))


def _rank(proposal: Proposal) -> tuple[bool, bool, float]:
    return proposal.suits, not proposal.model.is_start, proposal.score


def _why_not(image: Image, model: ModelInfo) -> str:
    """Return why a model cannot be tried on an image; empty when it can."""
    if model.spec.ndim != 2:
        return "it works on volumes"
    if not model.spec.classes:
        return "it has no classes"
    return why_not_read(image, model.spec)


def _tried(
    image: Image,
    model: ModelInfo,
    checkpoint: Checkpoint,
    config: PredictConfig,
    stop: Stop,
) -> Proposal | None:
    """Try a model; None where the image is too small."""
    part = trial_part(image, checkpoint, config, _EDGE, stop)
    if part is None:
        return None
    spec, size = checkpoint.spec, part.size
    finding = examine_part(
        part.pixels, checkpoint, part.config, part.normalisation, stop
    )
    reads_stain = part.normalisation.stain is not None
    as_grey = image.rgb and spec.in_channels == 1 and _is_stained(part.shown)
    doubts = {} if reads_stain else _doubts(finding, size, spec, stained=as_grey)
    score = _score(finding, doubts)
    suits = score >= CONVINCING
    reason = _reason(finding, size, doubts, suits=suits)
    return Proposal(
        model=model,
        score=score,
        suits=suits and not model.is_start,
        reason=_START if model.is_start and suits else reason,
        index=part.index,
        picture=picture_of(part.shown, colour=image.rgb),
        labels=finding.labels,
    )


def _doubts(
    finding: Finding, size: SizeEstimate | None, spec: ModelSpec, *, stained: bool
) -> dict[str, float]:
    """Return reasons to doubt a finding, and what the score is multiplied by for each.

    Parameters
    ----------
    finding
        Of a part.
    size
        Of its objects; None where it plays no part.
    spec
        Of the model.
    stained
        Whether the part shows a stain that the model reads as grey.
    """
    doubts = {}
    if stained:
        doubts["the image is stained, and it learned from unstained ones"] = _UNLIKE
    if size is not None and not size.sure:
        doubts["unsure: finds no size that objects have in common"] = _DOUBT
    if spec.brightness == "foreground" and finding.between > _BRIGHTEST_BACKGROUND:
        doubts["unsure: what lies between is no background"] = _DOUBT
    if spec.background_range is not None:
        least, most = spec.background_range
        if finding.between < least:
            doubts["the background is darker than where it learned"] = _UNLIKE
        elif finding.between > most:
            doubts["the background is brighter than where it learned"] = _UNLIKE
    return doubts


def _is_stained(part: Image) -> bool:
    everything = tuple(slice(0, size) for size in part.plane_shape)
    return is_stain(part.read((), everything)[:3].reshape(3, -1))


def _score(finding: Finding, doubts: dict[str, float]) -> float:
    """Return how convincing a finding is, 0 to 1.

    Parameters
    ----------
    finding
        Of a part.
    doubts
        Reasons to doubt it, and what the score is multiplied by for each.
    """
    if not _LEAST_SHARE <= finding.share <= _MOST_SHARE:
        return 0.0
    return float(finding.confidence * finding.agreement * prod(doubts.values()))


def _reason(
    finding: Finding, size: SizeEstimate | None, doubts: Iterable[str], *, suits: bool
) -> str:
    """Return in a few words why a model suits an image or not."""
    if finding.share < _LEAST_SHARE:
        return "finds nothing here"
    if finding.share > _MOST_SHARE:
        return "marks all of it"
    if suits and size is not None and size.sure and size.diameter_px is not None:
        return f"objects about {size.diameter_px:.3g} px, {finding.confidence:.0%} sure"
    if suits:
        return f"{finding.confidence:.0%} sure of what it finds"
    for doubt in doubts:
        return doubt
    return f"unsure: {1 - finding.agreement:.0%} changes when mirrored or resized"
