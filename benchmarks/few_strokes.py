"""Let a simulated user correct images with a few strokes, and score what is learned.

::

    python benchmarks/few_strokes.py --sets em_isbi2012_membrane,dic_hela --quick
    python benchmarks/few_strokes.py --rows one.json two.json [--plot strokes.png]

Each round takes the next of three images, paints strokes where the present prediction
is most wrong, learns from all strokes so far, and scores other images of the set.
Only the simulated user has the truth. ``--plot`` draws how good the mask is after how
much of the user's time; with ``--rows`` that of earlier runs, whose summary is
printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from stroke_study.methods import (
    Forest,
    Live,
    Method,
    NaiveUNet,
    Network,
    OneStage,
    Product,
)
from stroke_study.plot import draw
from stroke_study.scores import Scoring
from stroke_study.subjects import read_set
from stroke_study.summary import summarise
from stroke_study.user import SimulatedUser, nothing_painted, suggested

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import EngineError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from stroke_study.subjects import StudySet, Subject

    Mask = npt.NDArray[np.uint8]

SETS = (
    "em_isbi2012_membrane",
    "dic_hela",
    "em_epfl_mito",
    "retina_drive",
    "wbc_blood_smear",
    "dsb2018_nuclei",
    "fluo_ovule_nuclei_3d",
)
METHODS = ("forest", "naive_unet", "live", "network", "product", "product_guided")
ROUNDS, STROKES = 5, 5
"""Rounds of a study, and strokes of each class in a round."""
NAIVE_SECONDS = 20.0
"""Training time of ``naive_unet`` in a round, on a CPU."""
TUNE_SECONDS = 30.0
"""Training time of the network in a round, on a CPU: what a user may wait."""
QUICK = 0.1
"""Share of the training time in a quick run, which is for trying the command."""


def make_method(
    name: str, base: Checkpoint, share: float, folder: Path, steps: int = 0
) -> Callable[[Sequence[Subject]], Method]:
    """Return what makes a method for the images that are painted on."""
    plain = name.removesuffix("_scratch").removesuffix("_guided")
    start = None if name.endswith("_scratch") else base
    limits = {"minutes": 0 if steps else share * TUNE_SECONDS / 60, "steps": steps}
    product = {"base": start, "folder": folder, "limits": limits}
    makers: dict[str, Callable[..., Method]] = {
        "forest": Forest,
        "naive_unet": partial(NaiveUNet, base=start, seconds=share * NAIVE_SECONDS),
        "live": partial(Live, base=start),
        "live_one_stage": partial(OneStage, base=start),
        "network": partial(Network, **product),
        "product": partial(Product, **product),
    }
    return makers[plain]


def study(
    images: StudySet,
    make: Callable[[Sequence[Subject]], Method],
    *,
    seed: int,
    rounds: int,
    guided: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each round.

    A guided user corrects what the button Next would show.
    """
    method, user = make(images.trained), SimulatedUser(seed)
    targets = [nothing_painted(subject.truth) for subject in images.trained]
    painted = [Annotations(subject.truth.shape) for subject in images.trained]
    waits: list[float] = []
    for number in range(rounds):
        at = number % len(targets)
        subject = images.trained[at]
        probability = method.probability(subject)
        found = (probability >= 0.5).astype(np.uint8)
        if guided:
            shown = suggested(probability, targets[at], count=STROKES)
            # What is not shown is not corrected, unless nothing shown is wrong.
            if (shown & (found != subject.truth)).any():
                found = np.where(shown, found, subject.truth)
        before = targets[at].copy()
        strokes = user.paint(subject.truth, found, targets[at], count=STROKES)
        paint_each(painted[at], [before, *strokes])
        for before, after in pairwise(strokes[STROKES - 1 :]):
            waited = method.refresh_seconds(at, before, after)
            waits += [] if waited is None else [waited]
        started = time.monotonic()
        method.learn(painted)
        seconds = time.monotonic() - started
        scoring = Scoring()
        for tested in images.tested:
            scoring.add(tested.truth, method.probability(tested), tested.objects)
        yield {
            "round": number + 1,
            "labelled_px": int(sum((t != 255).sum() for t in targets)),
            **scoring.scores()._asdict(),
            "seconds": round(seconds, 1),
            "live_p95_s": round(float(np.percentile(waits, 95)), 2) if waits else None,
            "shown": method.shown,
            **beside(method, images.tested),
        }


def paint_each(annotations: Annotations, targets: Sequence[Mask]) -> None:
    """Paint strokes one after the other.

    Parameters
    ----------
    annotations
        What is painted on.
    targets
        ``(Y, X)`` class ids before the first stroke and after each.
    """
    for before, after in pairwise(targets):
        where = np.nonzero(after != before)
        if len(where[0]):
            annotations.set(where, after[where])


def beside(method: Method, tested: Sequence[Subject]) -> dict[str, float | None]:
    """Return the IoU of the parts of the product, and the weight of its network.

    The parts learned the same strokes.
    """
    if not isinstance(method, Product):
        return {}
    efforts: dict[str, Literal["fast", "full"] | None] = {
        "live_iou": None,
        "network_iou": "fast",
    }
    found: dict[str, float | None] = {"network_share": method.network_share}
    for key, effort in efforts.items():
        scoring = Scoring()
        for subject in tested:
            scoring.add(subject.truth, method.by(subject, effort))
        found[key] = scoring.scores().iou
    return found


def main(argv: list[str] | None = None) -> int:
    """Read the command line, study, print and record."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    try:
        if arguments.rows:
            for path in arguments.rows:
                rows += json.loads(path.read_text())
            # A line of the picture is of rounds that follow each other.
            rows.sort(key=lambda row: (row["dataset"], row["method"]))
            print(*summarise(rows), sep="\n")
            if arguments.plot:
                draw(rows, 2 * STROKES, arguments.plot)
            return 0
        base = (
            Checkpoint.load(arguments.base)
            if arguments.base
            else ModelStore().load("general")
        )
        share, rounds = (QUICK, 2) if arguments.quick else (1.0, ROUNDS)
        for name in arguments.sets.split(","):
            images = read_set(arguments.data / name)
            for method in arguments.methods.split(","):
                guided = method.endswith("_guided")
                # The models of a course; those of the user are not touched.
                with TemporaryDirectory() as folder:
                    make = make_method(
                        method, base, share, Path(folder), arguments.steps
                    )
                    for row in study(
                        images, make, seed=arguments.seed, rounds=rounds, guided=guided
                    ):
                        course = {"dataset": name, "method": method}
                        rows.append({**course, "seed": arguments.seed, **row})
                        print(_line(rows[-1]), flush=True)
                        if arguments.json:
                            arguments.json.write_text(json.dumps(rows, indent=1))
        if arguments.plot:
            draw(rows, 2 * STROKES, arguments.plot)
    except (EngineError, OSError) as error:
        print(f"few_strokes: error: {error}", file=sys.stderr)
        return 1
    return 0


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['dataset']:22} {row['method']:22} round {row['round']} "
        f"{row['labelled_px']:6} px  IoU {row['iou']:.3f}  best {row['best_iou']:.3f}  "
        f"AP {row['ap']:.3f}  {row['seconds']:5.1f} s  p95 {row['live_p95_s'] or '-'}"
        f"  shown {row['shown'] or '-'}"
        + "".join(
            f"  {k} {row[k]:.3f}" for k in row if k.endswith("_iou") and k != "best_iou"
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=",".join(SETS), help="folders, with commas")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds, short trainings"
    )
    parser.add_argument("--json", type=Path, help="file that takes the rows")
    parser.add_argument("--plot", type=Path, help="picture of IoU against seconds")
    parser.add_argument(
        "--rows",
        type=Path,
        nargs="+",
        help="summarise and draw these files of --json, run nothing",
    )
    parser.add_argument(
        "--base", type=Path, help="model instead of the bundled general"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=0,
        help="length of a fine-tuning, in place of 30 seconds, on a busy machine",
    )
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
