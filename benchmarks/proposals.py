"""Whether the model that is proposed for a new image is the one that suits it.

::

    python benchmarks/proposals.py --data ../shared/data

Evenly spread images of sets in which the bundled ``nuclei`` has something to find, and
of sets in which it has not: each is tried as the dock does it. A row of the table is a
set: how often the model suits, the least and the greatest score, and seconds.
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
WITHOUT = (
    "em_isbi2012_membrane", "em_vnc_stack3d", "em_epfl_mito", "em_fib25_neurons_3d",
    "sem_axon_myelin", "retina_drive", "dic_hela", "bacteria_phc_2dt",
    "phc_t98g_cells", "phc_monolayer_nist", "brightfield_celegans",
    "brightfield_neurons", "fluo_ovule_cells_3d",
)  # fmt: skip
"""Sets that show none, or none that could be distinguished from the rest."""


def spread(folder: Path, count: int) -> list[Path]:
    """Return some of the images of a set, evenly spread over their names."""
    files = sorted((folder / "images").iterdir())
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round()
    return [files[int(number)] for number in chosen]


def measure(folder: Path, count: int, name: str) -> dict[str, Any]:
    """Try a model on images of a set."""
    scores, suited, seconds = [], 0, []
    model = ModelStore().info(name)
    for path in spread(folder, count):
        image = open_image(path)
        started = time.perf_counter()
        found = propose(image, (model,))
        seconds.append(time.perf_counter() - started)
        suited += found.best is not None
        scores += [each.score for each in found.ranked]
    return {
        "set": folder.name,
        "images": len(seconds),
        "suits": suited,
        "least": round(min(scores), 2),
        "greatest": round(max(scores), 2),
        "seconds": round(float(np.median(seconds)), 1),
    }


def main() -> None:
    """Read the command line and print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="nuclei", help="name or file")
    parser.add_argument("--images", type=int, default=4, help="of each set")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    kinds = {"nuclei": WITH_NUCLEI, "none": WITHOUT}
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
    print("| set | shows | images | suits | least score | greatest | seconds |")
    print("|---|---|---|---|---|---|---|")
    for shows, names in kinds.items():
        for name in names:
            row = measure(arguments.data / name, arguments.images, arguments.model)
            rows.append({"shows": shows, **row})
            cells = (
                name, shows, row["images"], row["suits"], row["least"],
                row["greatest"], row["seconds"],
            )  # fmt: skip
            print("|", " | ".join(map(str, cells)), "|", flush=True)
    for shows in kinds:
        of_kind = [row for row in rows if row["shows"] == shows]
        images, suited = (sum(row[n] for row in of_kind) for n in ("images", "suits"))
        print(f"{shows}: proposed for {suited} of {images} images")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
