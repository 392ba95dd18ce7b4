"""Whether the model that is proposed for a new image is the one that suits it.

::

    python benchmarks/proposals.py --data ../shared/data

Evenly spread images of sets in which the bundled ``nuclei`` has something to find, in
which ``cells`` has, and in which neither has: the models are tried as the dock does it.
A row of the table is a set: how often each model is proposed, the greatest score of
each, and seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unet_engine.images import open_image
from unet_engine.models.store import ModelStore
from unet_engine.prediction.proposals.proposal import propose

WITH_NUCLEI = (
    "dsb2018_nuclei", "dsb2018_histology", "fluo_u2os_nuclei_hcs",
    "fluo_neuroblastoma_nuclei", "fluo_ecoli_dapi", "fluo_mouse_embryo_3d",
    "fluo_ovule_nuclei_3d", "fluo_cho_3dt_auto", "histology_monuseg_train",
    "histology_tnbc_nuclei", "histology_prostate_glands", "wbc_blood_smear",
)  # fmt: skip
"""Sets that show nuclei, or rods that are stained like them."""
WITH_CELLS = (
    "dic_hela", "bacteria_phc_2dt", "phc_t98g_cells", "phc_monolayer_nist",
    "brightfield_celegans", "brightfield_neurons",
)  # fmt: skip
"""Sets that show whole cells, or worms, in transmitted light."""
WITHOUT = (
    "em_isbi2012_membrane", "em_vnc_stack3d", "em_epfl_mito", "em_fib25_neurons_3d",
    "sem_axon_myelin", "retina_drive", "fluo_ovule_cells_3d",
)  # fmt: skip
"""Sets that show neither, or none that could be distinguished from the rest."""
NONE = "none"


def spread(folder: Path, count: int) -> list[Path]:
    """Return some of the images of a set, evenly spread over their names."""
    files = sorted((folder / "images").iterdir())
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round()
    return [files[int(number)] for number in chosen]


def measure(folder: Path, count: int, names: list[str]) -> dict[str, Any]:
    """Try models on images of a set."""
    scores: dict[str, list[float]] = {name: [] for name in names}
    proposed = dict.fromkeys(names, 0)
    seconds = []
    models = [ModelStore().info(name) for name in names]
    for path in spread(folder, count):
        image = open_image(path)
        started = time.perf_counter()
        found = propose(image, models)
        seconds.append(time.perf_counter() - started)
        if found.best is not None:
            proposed[found.best.model.name] += 1
        for each in found.ranked:
            scores[each.model.name].append(each.score)
    return {
        "set": folder.name,
        "images": len(seconds),
        "proposed": proposed,
        "greatest": {n: round(max(s, default=0.0), 2) for n, s in scores.items()},
        "seconds": round(float(np.median(seconds)), 1),
    }


def listed(values: dict[str, Any]) -> str:
    """Return the values of the models in a cell of the table."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def main() -> None:
    """Read the command line and print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", nargs="+", default=["nuclei", "cells"])
    parser.add_argument("--images", type=int, default=4, help="of each set")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    kinds = {"nuclei": WITH_NUCLEI, "cells": WITH_CELLS, NONE: WITHOUT}
    missing = [
        name
        for names in kinds.values()
        for name in names
        if not (arguments.data / name).is_dir()
    ]
    if missing:
        parser.error(f"{arguments.data} has no folder {' and no '.join(missing)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = []
    print("| set | shows | images | proposed | greatest score | seconds |")
    print("|---|---|---|---|---|---|")
    for shows, names in kinds.items():
        for name in names:
            row = measure(arguments.data / name, arguments.images, arguments.models)
            rows.append({"shows": shows, **row})
            values = (
                name, shows, row["images"], listed(row["proposed"]),
                listed(row["greatest"]), row["seconds"],
            )  # fmt: skip
            print("|", " | ".join(map(str, values)), "|", flush=True)
    for shows in kinds:
        of_kind = [row for row in rows if row["shows"] == shows]
        images = sum(row["images"] for row in of_kind)
        sums = {n: sum(r["proposed"][n] for r in of_kind) for n in arguments.models}
        print(f"{shows}: {images} images, proposed {listed(sums)}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
