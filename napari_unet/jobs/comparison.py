"""What the button "Scores" runs in a thread. No Qt, layer or widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from unet_engine.labels import IGNORE
from unet_engine.metrics.comparison import ConnectedPieces, iter_compare

if TYPE_CHECKING:
    from collections.abc import Generator

    from unet_engine.metrics.comparison import BlockCompared, Comparison
    from unet_engine.stopping import Stop

    Kind = Literal["classes", "objects"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonOrder:
    """What a comparison needs.

    Attributes
    ----------
    truth, predicted
        Array-likes of ids, of one shape.
    kinds
        What the values of the truth and of the prediction are.
    names
        Of the classes, background first.
    ndim
        Axes that an object extends along.
    """

    truth: Any
    predicted: Any
    kinds: tuple[Kind, Kind]
    names: tuple[str, ...]
    ndim: int


def comparison_run(
    order: ComparisonOrder, stop: Stop
) -> Generator[BlockCompared, None, Comparison]:
    """Compare two masks: as classes if both have classes, else as objects.

    Of the one that has classes the connected pieces of foreground are its objects.
    """
    if order.kinds == ("classes", "classes"):
        return (
            yield from iter_compare(
                order.truth, order.predicted, names=order.names, stop=stop
            )
        )
    truth, predicted = (
        ConnectedPieces(data, order.ndim, ignore) if kind == "classes" else data
        for data, kind, ignore in zip(
            (order.truth, order.predicted), order.kinds, (IGNORE, None), strict=True
        )
    )
    return (
        yield from iter_compare(
            truth, predicted, "instances", ndim=order.ndim, stop=stop
        )
    )
