"""What goes to a worker for Live and what comes back: plain values, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_engine.images import Image, Normalisation
    from unet_engine.places import Index
    from unet_engine.prediction.remote.pixels import Box, SentPixels
    from unet_engine.remote.packing import Packed


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveHeader:
    """What gives the features.

    Attributes
    ----------
    network, tuned
        Digests of the files of models, as of a ``FeatureExtractor``; empty for none.
    averaged
        As of a ``FeatureExtractor``.
    """

    network: str
    tuned: str
    averaged: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageHeader:
    """An image that is painted on.

    Attributes
    ----------
    image
        Without pixels.
    normalisation
        Of it.
    """

    image: Image
    normalisation: Normalisation


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeBlock:
    """What is painted on a block of features.

    Attributes
    ----------
    index, row, column
        Of the block.
    target
        ``(h, w)`` uint8 class ids, ``IGNORE`` where nobody painted.
    times
        ``(h, w)`` float64, when each pixel was painted.
    """

    index: Index
    row: int
    column: int
    target: Packed
    times: Packed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parcel:
    """What an order brings along, of one image.

    Attributes
    ----------
    key
        Names the image.
    header
        At the first time; None later.
    pixels
        Parts of it that were not sent before.
    strokes
        Blocks that were painted on since the last time.
    """

    key: str
    header: ImageHeader | None = None
    pixels: tuple[SentPixels, ...] = ()
    strokes: tuple[StrokeBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownSession:
    """The worker was started anew, or the session was not used for long."""


@dataclass(frozen=True, slots=True)
class MissingPart:
    """Pixels that the order needs, and that were not sent.

    Attributes
    ----------
    key, box
        Of which image; start and stop along each axis of its data.
    """

    key: str
    box: Box


@dataclass(frozen=True, slots=True)
class LearnedThere:
    """The strokes were learned from.

    Attributes
    ----------
    pixels, note
        As of an ``InstantLearner``.
    uses_tuned
        Whether the probabilities of the tuned model are in the mean.
    """

    pixels: int
    note: str
    uses_tuned: bool


@dataclass(frozen=True, slots=True)
class LiveTile:
    """A tile of a view.

    Attributes
    ----------
    labels
        ``(h, w)`` uint8.
    probabilities
        ``(classes, h, w)`` float32 where they are wanted.
    """

    labels: Packed
    probabilities: Packed | None
