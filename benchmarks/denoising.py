"""Restore stacks from their own pixels, and compare with filters by two measures.

::

    python benchmarks/denoising.py --data DATA --steps 1000 --threads 1
    python benchmarks/denoising.py --data DATA --sets fluo_ovule_nuclei_3d --seeds 0,1

The *held-out error* is the mean square error at pixels that neither the network nor a
filter saw, in the normalised range of the stack; the training itself judges by it. The
*contrast-to-noise* is the difference of the means inside and outside of what is
labelled, divided by their pooled standard deviation; no training knows the labels.
"""

from __future__ import annotations

import argparse
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation
from unet_engine.images.neighbours import neighbour_indices
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.denoising import denoise
from unet_engine.training import pretraining
from unet_engine.training.config import PretrainConfig
from unet_engine.training.pretraining import iter_pretrain
from unet_engine.training.pretraining_start import start_spec, usual_settings
from unet_engine.training.restoration.filters import candidates

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.events import FineTuned
    from unet_engine.training.restoration.filters import Restorer
    from unet_engine.training.restoration.judge import Judgement

    Stack = npt.NDArray[np.float32]

SETS = (
    "fluo_ovule_nuclei_3d",
    "fluo_mouse_embryo_3d",
    "fluo_cho_3dt_auto",
    "em_isbi2012_membrane",
    "em_epfl_mito",
    "em_fib25_neurons_3d",
)
EDGE, SLICES = 256, 100
"""Pixels and slices of a stack that are used at most, so that all take minutes."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A stack and what is labelled in it.

    Attributes
    ----------
    name
        Of its folder.
    pixels, truth
        ``(Z, Y, X)``, the truth bool.
    """

    name: str
    pixels: npt.NDArray[Any]
    truth: npt.NDArray[np.bool_]


def read_subject(folder: Path) -> Subject:
    """Read the first time point of a stack and its labels, the middle of its planes."""
    pixels, labels = (_read_all(folder / part) for part in ("images", "labels"))
    if folder.name.startswith("em_fib25"):
        # All is labelled; membranes are where the ids of neighbours differ.
        ids = labels.astype(np.int64)
        edges = np.zeros(ids.shape, dtype=bool)
        edges[:, 1:] |= ids[:, 1:] != ids[:, :-1]
        edges[:, :, 1:] |= ids[:, :, 1:] != ids[:, :, :-1]
        labels = edges
    middle = tuple(
        slice((size - min(size, most)) // 2, (size + min(size, most)) // 2)
        for size, most in zip(pixels.shape, (SLICES, EDGE, EDGE), strict=True)
    )
    return Subject(folder.name, pixels[middle], labels[middle] > 0)


def _read_all(folder: Path) -> npt.NDArray[Any]:
    found = np.stack([tifffile.imread(path) for path in sorted(folder.iterdir())])
    return found.reshape(-1, *found.shape[-3:])[0] if found.ndim > 3 else found


def contrast_to_noise(pixels: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> float:
    """Return the difference of the means over the pooled standard deviation."""
    inside, outside = pixels[truth], pixels[~truth]
    pooled = np.sqrt((inside.var() + outside.var()) / 2)
    return float(abs(inside.mean() - outside.mean()) / pooled)


def filtered(subject: Subject, restore: Restorer, slices: int) -> Stack:
    """Return the whole stack, restored by a filter of so many slices."""
    image = Image.from_array(subject.pixels, "ZYX")
    normalisation = Normalisation.measure(image)
    planes = [
        np.stack(
            [
                normalisation.apply(image.read(place))
                for place in neighbour_indices(image, index, slices)
            ]
        )
        for index in image.indices()
    ]
    return np.stack([restore(stack)[0] for stack in planes])


def measure(subject: Subject, steps: int, seed: int) -> Iterator[dict[str, Any]]:
    """Train on a stack and yield a row for it, each filter and the raw stack."""
    image = Image.from_array(subject.pixels, "ZYX", name=subject.name)
    spec = start_spec("restore", [image])
    settings = {**usual_settings("restore"), "minutes": 0, "steps": steps}
    config = PretrainConfig(**{**settings, "seed": seed, "device": "cpu"})
    kept = []
    with keeping_judgement(kept):
        result = drain(iter_pretrain(start_checkpoint(spec, seed), [image], config))
    judgement, network = kept[0]
    common = {"set": subject.name, "seed": seed, "slices": spec.slices}
    restored = denoise(image, network, PredictConfig(device="cpu")).image[0]
    raw = contrast_to_noise(subject.pixels.astype(np.float32), subject.truth)
    yield {**common, "method": "raw", "error": None, "cnr": raw}
    for each in candidates(spec.slices):
        cnr = contrast_to_noise(
            filtered(subject, each.restore, spec.slices), subject.truth
        )
        error = judgement.filters[each.name]
        yield {**common, "method": each.name, "error": error, "cnr": cnr}
    yield {
        **common,
        "method": "network",
        "error": judgement.network,
        "cnr": contrast_to_noise(restored, subject.truth),
        "kept": result.improved,
        "margin": network.history[-1]["hidden_margin"],
        "seconds": network.history[-1]["seconds"],
    }


@contextmanager
def keeping_judgement(
    kept: list[tuple[Judgement, Checkpoint]],
) -> Iterator[None]:
    """Keep what a training judged, and its network, even where it is refused."""
    judged = pretraining.judged

    def keep(result: FineTuned, *rest: Any) -> Any:
        found = judged(result, *rest)
        kept.append((found, result.checkpoint))
        return found

    pretraining.judged = keep
    try:
        yield
    finally:
        pretraining.judged = judged


def main(argv: list[str] | None = None) -> int:
    """Read the command line, measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS), help="folders, with commas")
    parser.add_argument("--seeds", default="0", help="with commas")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    parser.add_argument("--json", type=Path, help="file that takes the rows")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    for name in arguments.sets.split(","):
        subject = read_subject(arguments.data / name)
        for seed in map(int, arguments.seeds.split(",")):
            found = list(measure(subject, arguments.steps, seed))
            rows += found
            print(*summarise(found), sep="\n", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1))
    return 0


def summarise(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield lines: the network, and the best of each filter by each measure."""
    network = rows[-1]
    yield (
        f"{network['set']} seed {network['seed']}: {network['slices']} slices, margin "
        f"{network['margin']}, {network['seconds']:.0f} s, "
        f"{'kept' if network['kept'] else 'refused'}"
    )
    for kind in ("raw", "a Gaussian", "non-local"):
        group = [row for row in rows[:-1] if row["method"].startswith(kind)]
        if kind == "raw":
            yield f"  raw: contrast-to-noise {group[0]['cnr']:.3f}"
            continue
        for what, best in (
            ("held-out error", min(group, key=lambda row: row["error"])),
            ("contrast-to-noise", max(group, key=lambda row: row["cnr"])),
        ):
            yield (
                f"  best by {what}: {best['method']}: error {best['error']:.5f}, "
                f"contrast-to-noise {best['cnr']:.3f}"
            )
    yield (
        f"  network: error {network['error']:.5f}, contrast-to-noise "
        f"{network['cnr']:.3f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
