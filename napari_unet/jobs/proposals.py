"""Which models suit an image, tried in a thread. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from napari_unet.state.polling import polled
from unet_engine.class_colours import colour_of
from unet_engine.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.proposals.proposal import Proposal, Proposals
    from unet_engine.stopping import Stop

_SHOWN = 128
"""Edge in pixels of the middle of the part that is shown: some objects, whose outlines
are seen in a picture of the size of a thumb."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProposalOrder:
    """What is needed to try models.

    Attributes
    ----------
    image, models, config
        What, by which models, and how.
    """

    image: Image
    models: tuple[ModelInfo, ...]
    config: PredictConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TriedModel:
    """A model that was tried.

    Attributes
    ----------
    proposal
        What it finds.
    picture
        ``(h, w, 3)`` uint8: the middle of the part with the outlines of that.
    """

    proposal: Proposal
    picture: npt.NDArray[np.uint8]


def propose_run(
    order: ProposalOrder, stop: Stop
) -> Generator[TriedModel, None, Proposals | None]:
    """Try models; see `unet_engine.prediction.proposals.proposal.iter_propose`.

    Returns
    -------
    Proposals or None
        None when it was stopped.
    """
    load_torch()
    from unet_engine.prediction.proposals.proposal import iter_propose

    run = iter_propose(polled(order.image, stop), order.models, order.config, stop=stop)
    try:
        while True:
            proposal = next(run)
            picture = outlined(proposal.picture, proposal.labels)
            yield TriedModel(proposal=proposal, picture=picture)
    except StopIteration as end:
        found: Proposals = end.value
        return found
    except Cancelled:
        return None


def outlined(
    picture: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return the middle of a picture, with what is no background outlined.

    Parameters
    ----------
    picture, labels
        As of a ``Proposal``.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    starts = [max(0, (size - _SHOWN) // 2) for size in labels.shape]
    middle = tuple(slice(start, start + _SHOWN) for start in starts)
    shown, there = picture[middle].copy(), labels[middle] > 0
    edges = binary_dilation(there) & ~binary_erosion(there, border_value=1)
    shown[edges] = [int(colour_of(1)[at : at + 2], 16) for at in (1, 3, 5)]
    return shown
