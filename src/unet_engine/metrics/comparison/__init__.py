"""Two label arrays compared part by part: how much differs, and where it differs most.

Truth and prediction of one shape go in, lazily; scores by class or of objects and a
list of the worst places come out. `comparing` goes through the arrays in blocks,
`pixels` counts classes and `instances` objects; `mistakes` has what is wrong with them.
`differences` maps what differs of a part of two masks.
"""

from unet_engine.metrics.comparison.comparing import BlockCompared, iter_compare
from unet_engine.metrics.comparison.connected import ConnectedPieces
from unet_engine.metrics.comparison.differences import (
    EQUAL,
    ONLY_FIRST,
    ONLY_SECOND,
    OTHER,
    difference_map,
)
from unet_engine.metrics.comparison.mistakes import (
    MISTAKE_KINDS,
    MistakeKind,
    ObjectMistake,
    find_mistakes,
)
from unet_engine.metrics.comparison.results import (
    ClassScores,
    Comparison,
    ObjectScores,
    WorstPlace,
)

__all__ = [
    "EQUAL",
    "MISTAKE_KINDS",
    "ONLY_FIRST",
    "ONLY_SECOND",
    "OTHER",
    "BlockCompared",
    "ClassScores",
    "Comparison",
    "ConnectedPieces",
    "MistakeKind",
    "ObjectMistake",
    "ObjectScores",
    "WorstPlace",
    "difference_map",
    "find_mistakes",
    "iter_compare",
]
