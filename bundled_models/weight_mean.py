"""Average the weights of a model and of one that was trained further from it.

::

    python -m bundled_models.weight_mean FIRST FURTHER OUT

The mean of both is often better than either on images that neither saw (Wortsman et al.
2022, "Model soups", section 3). Spec and history are those of the further one, and of
what the first one records beside them.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from unet_engine.models.checkpoint import Checkpoint


def mean_of(first: Checkpoint, further: Checkpoint) -> Checkpoint:
    """Return the model with the mean of the floating weights."""
    weights = {
        name: ((value.astype(np.float64) + further.weights[name]) / 2).astype(
            np.float32
        )
        if value.dtype.kind == "f"
        else further.weights[name]
        for name, value in first.weights.items()
    }
    *earlier, last = further.history
    history = (*earlier, {**last, "averaged_with": first.name})
    return replace(further, weights=weights, history=history)


def main() -> None:
    """Read the command line and write the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("first", "further", "out"):
        parser.add_argument(name, type=Path)
    paths = parser.parse_args()
    found = mean_of(Checkpoint.load(paths.first), Checkpoint.load(paths.further))
    found.save(paths.out)


if __name__ == "__main__":
    main()
