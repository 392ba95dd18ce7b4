"""Two label arrays compared part by part: how much differs, and where it differs most.

Truth and prediction of one shape go in, lazily; scores by class or of objects and a
list of the worst places come out. `comparing` goes through the arrays in blocks,
`pixels` counts classes and `instances` objects; `mistakes` has what is wrong with them.
"""

from unet_engine.metrics.comparison.comparing import BlockCompared, iter_compare
from unet_engine.metrics.comparison.connected import ConnectedPieces
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
    "MISTAKE_KINDS",
    "BlockCompared",
    "ClassScores",
    "Comparison",
    "ConnectedPieces",
    "MistakeKind",
    "ObjectMistake",
    "ObjectScores",
    "WorstPlace",
    "find_mistakes",
    "iter_compare",
]
