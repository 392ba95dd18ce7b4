"""Predict images at the defaults of a model and print a row for each kind of them."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.metrics import (
    Confusion,
    aggregated_jaccard,
    count_overlaps,
    match_objects,
)
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.objects import SemanticMask, label_objects
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from unet_engine.images import Image

    Example = tuple[Image, npt.NDArray[np.integer[Any]]]


def measure(
    examples: Iterable[Example], checkpoint: Checkpoint, *, true_size: bool
) -> dict[str, Any]:
    """Predict images and compare pixels and objects with the truth."""
    confusion = Confusion(2)
    precisions, jaccards = [], []
    maps = checkpoint.spec.object_maps
    for image, labels in examples:
        areas = np.bincount(labels.ravel())[1:]
        stated: dict[str, Any] = {}
        if true_size and areas.any() and checkpoint.spec.object_size_px:
            stated["object_size"] = float(
                np.median(2 * np.sqrt(areas[areas > 0] / np.pi))
            )
        config = PredictConfig(object_maps=bool(maps), **stated)
        found = predict(image, checkpoint, config)
        confusion.add((labels > 0).astype(np.uint8), found.labels)
        mask = SemanticMask(
            classes=found.labels, object_maps=found.object_maps, map_names=maps
        )
        table = count_overlaps(labels, label_objects(mask).labels)
        precisions.append(match_objects(table, 0.5).average_precision)
        jaccards.append(aggregated_jaccard(table))
    return {
        "images": len(precisions),
        "iou": round(confusion.iou[1] or 0.0, 3),
        "ap50": round(float(np.mean(precisions)), 3),
        "aji": round(float(np.mean(jaccards)), 3),
    }


def measure_kinds(
    about: str,
    model: str,
    kinds: Callable[[Path], dict[str, Iterator[Example]]],
    sets: Iterable[str],
) -> None:
    """Read the command line and print a row for each kind of image.

    Parameters
    ----------
    about
        Docstring of the command.
    model
        Bundled model that is measured unless another is named.
    kinds
        Images of each kind, from the folder of data.
    sets
        Folders that the data must have.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default=model, help="name or file")
    parser.add_argument("--object-size", default="auto", choices=("auto", "true"))
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--only", nargs="+", help="kinds, as the table names them")
    parser.add_argument("--most", type=int, help="images of each kind at most")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    if missing := [name for name in sets if not (arguments.data / name).is_dir()]:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    checkpoint = (
        Checkpoint.load(Path(arguments.model))
        if Path(arguments.model).is_file()
        else ModelStore().load(arguments.model)
    )
    rows = []
    print("| images | number | IoU | AP at 0.5 | AJI |")
    print("|---|---|---|---|---|")
    for kind, examples in kinds(arguments.data).items():
        if arguments.only and kind not in arguments.only:
            continue
        some = islice(examples, arguments.most)
        found = measure(some, checkpoint, true_size=arguments.object_size == "true")
        row = {"kind": kind, **found}
        rows.append(row)
        values = (kind, row["images"], row["iou"], row["ap50"], row["aji"])
        print("|", " | ".join(map(str, values)), "|", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
