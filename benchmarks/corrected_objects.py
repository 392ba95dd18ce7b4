"""What correcting a few objects and one fine-tune do for objects on other images.

::

    python benchmarks/corrected_objects.py --data ../shared/data

A simulated user looks at images that ``nuclei`` did not learn from, those of DSB2018
(fluorescence) that were held out or those of another ``--set``, predicted at its
defaults, and corrects objects that the truth shows to be wrong: splits one that covers
two nuclei with a straight line along their border, merges parts of one nucleus by a
line from one to the other, deletes what is no nucleus with a click. What is corrected
is recorded by the functions that the window calls, and the model is tuned by the
function behind its button. AP at 0.5 is the mean over the other half of the images,
objects by the defaults of ``napari-unet objects``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bundled_models.nuclei_images import FLUORESCENT, SETS
from bundled_models.sets import list_files, read_labels
from unet_engine.annotations.annotations import Annotations
from unet_engine.generators import drain
from unet_engine.images import Image, open_image
from unet_engine.labels import IGNORE
from unet_engine.metrics import Confusion, count_overlaps, match_objects
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.objects import SemanticMask, label_objects
from unet_engine.objects.editing import (
    claims_after,
    classes_after,
    delete_objects,
    merge_objects,
    split_objects,
)
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage
from unet_engine.training.rounds import Round, train_round

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.objects.editing import Edit

    Ids = npt.NDArray[np.integer[Any]]
    Points = list[tuple[float, float]]

MOSTLY = 0.5
"""Share of a nucleus inside an object above which the object covers it."""
NO_NUCLEUS = 0.1
"""Share of an object on nuclei below which it is none."""
PER_IMAGE = 5
"""Corrections on an image at most: a user looks at several."""
KINDS = ("split", "merge", "delete")
ALL = (slice(None), slice(None))


@dataclass
class Corrected:
    """An image, its objects as they are corrected, and what is recorded of that."""

    name: str
    image: Image
    mask: npt.NDArray[np.uint8]
    ids: Ids
    truth: Ids
    strokes: Annotations = field(init=False)
    objects: Annotations = field(init=False)

    def __post_init__(self) -> None:
        self.strokes = Annotations(self.ids.shape)
        self.objects = Annotations(self.ids.shape)

    def take(self, edit: Edit) -> None:
        """Record an edit as the window does."""
        after = edit.apply_to(self.ids)
        changed = after != self.ids
        numbers = {*np.unique(after[changed]), *np.unique(self.ids[changed])}
        claims = claims_after(self.objects.target(()), after, changed, numbers)
        self.objects.accept((), ALL, claims)
        found = classes_after(self.ids, after, self.mask, new_class=1)
        before = self.strokes.target(())
        self.strokes.accept((), ALL, np.where(found == IGNORE, before, found))
        self.ids = after

    def painted(self) -> PaintedImage:
        """Return what a fine-tune learns from."""
        return PaintedImage(
            image=self.image, strokes=self.strokes, corrected_objects=self.objects
        )


def objects_in(image: Image, checkpoint: Checkpoint) -> tuple[Any, Any]:
    """Return mask and object ids of an image at all defaults."""
    maps = checkpoint.spec.object_maps
    found = predict(image, checkpoint, PredictConfig(object_maps=bool(maps)))
    mask = SemanticMask(
        classes=found.labels, object_maps=found.object_maps, map_names=maps
    )
    return found.labels, np.asarray(label_objects(mask).labels, np.uint32)


def mistakes(ids: Ids, truth: Ids) -> Iterator[tuple[str, int, list[int]]]:
    """Yield what is wrong: kind, an id, and the other ids that it concerns."""
    nuclei, objects = np.bincount(truth.ravel()), np.bincount(ids.ravel())
    table = np.zeros((len(nuclei), len(objects)), np.int64)
    np.add.at(table, (truth.ravel(), ids.ravel()), 1)
    inside = table > MOSTLY * nuclei[:, None]
    covered = table > MOSTLY * objects
    for number in np.flatnonzero(objects):
        if number == 0:
            continue
        mine = [int(n) for n in np.flatnonzero(inside[:, number]) if n and nuclei[n]]
        if len(mine) > 1:
            yield "split", int(number), mine
        if table[1:, number].sum() < NO_NUCLEUS * objects[number]:
            yield "delete", int(number), []
    for nucleus in np.flatnonzero(nuclei):
        parts = [int(n) for n in np.flatnonzero(covered[nucleus]) if n and objects[n]]
        if nucleus and len(parts) > 1:
            yield "merge", int(nucleus), parts


def border_line(inside: Any, one: Any, other: Any) -> Points | None:
    """Return a straight line along the border of two nuclei, across an object."""
    apart = ndimage.distance_transform_edt(~one) - ndimage.distance_transform_edt(
        ~other
    )
    border = np.argwhere(inside & (np.abs(apart) < 1.5))
    if len(border) < 2:
        return None
    middle = border.mean(axis=0)
    _, _, axes = np.linalg.svd(border - middle, full_matrices=False)
    reach = np.ptp(np.argwhere(inside), axis=0).sum() + 3
    near = np.abs((border - middle) @ axes[0]).max() + 3
    length = min(reach, near)
    return [tuple(middle - length * axes[0]), tuple(middle + length * axes[0])]


def inner_point(inside: Any) -> tuple[float, float]:
    """Return the pixel of an object that is farthest from its border."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), inside.shape)
    return float(y), float(x)


def correction(image: Corrected, wrong: tuple[str, int, list[int]]) -> Edit | None:
    """Return the edit of a user who sees what is wrong."""
    kind, number, others = wrong
    ids, truth = image.ids, image.truth
    if kind == "delete":
        return delete_objects(ids, [inner_point(ids == number)])
    if kind == "merge":
        return merge_objects(ids, [inner_point(ids == n) for n in others])
    one, other = (truth == n for n in others[:2])
    points = border_line(ids == number, one, other)
    edit = None if points is None else split_objects(ids, points)
    if edit is None:
        return None
    touched = set(np.unique(ids[edit.where]).tolist())
    return edit if touched == {number} else None


def correct(
    images: Sequence[Corrected], count: int, random: np.random.Generator
) -> dict[str, int]:
    """Make corrections on images in random order; return how many of which kind."""
    done = dict.fromkeys(KINDS, 0)
    for at in random.permutation(len(images)):
        image = images[at]
        tried: set[tuple[str, int]] = set()
        here = sum(done.values())
        while sum(done.values()) < min(count, here + PER_IMAGE):
            left = [
                wrong
                for wrong in mistakes(image.ids, image.truth)
                if wrong[:2] not in tried
            ]
            if not left:
                break
            tried.add(left[0][:2])
            edit = correction(image, left[0])
            if edit is not None:
                image.take(edit)
                done[left[0][0]] += 1
    return done


def measure(images: Sequence[Corrected]) -> dict[str, float]:
    """Return the scores of masks and objects."""
    confusion, precisions = Confusion(2), []
    for image in images:
        confusion.add((image.truth > 0).astype(np.uint8), image.mask)
        table = count_overlaps(image.truth, image.ids)
        precisions.append(match_objects(table, 0.5).average_precision)
    return {
        "ap50": round(float(np.mean(precisions)), 4),
        "iou": round(float(confusion.iou[1] or 0.0), 4),
    }


def predicted_again(one: Corrected, checkpoint: Checkpoint) -> Corrected:
    """Return an image as another model predicts it."""
    mask, ids = objects_in(one.image, checkpoint)
    return Corrected(one.name, one.image, mask, ids, one.truth)


def read(data: Path, name: str, checkpoint: Checkpoint, most: int) -> list[Corrected]:
    """Return images of a set that nobody trained on with what the model finds."""
    found = []
    sides = (True,) if name in SETS else (True, False)
    files = sorted(
        files for side in sides for files in list_files(data / name, held_out=side)
    )
    step = max(1, len(files) // most) if most else 1
    for path, labels in files[::step]:
        image = open_image(path)
        mask, ids = objects_in(image, checkpoint)
        found.append(Corrected(path.stem, image, mask, ids, read_labels(labels)))
    return found


def main() -> None:
    """Read the command line and print a row for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", default=FLUORESCENT)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--corrections", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int, default=0, help="at most; 0: all")
    parser.add_argument("--minutes", type=float, default=3.0, help="of a training")
    parser.add_argument("--steps", type=int, default=0, help="0: until no gain")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    if not (arguments.data / arguments.set).is_dir():
        parser.error(f"{arguments.data} has no folder {arguments.set}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    parent = ModelStore().info(arguments.model)
    checkpoint = Checkpoint.load(parent.path)
    recipe = ARCHITECTURES[checkpoint.spec.architecture].transfer_recipe
    limits = {"minutes": arguments.minutes, "steps": arguments.steps}
    config = FineTuneConfig(**{**recipe, **limits})
    rows = []
    found = read(arguments.data, arguments.set, checkpoint, arguments.images)
    for seed in range(arguments.seeds):
        images = [Corrected(o.name, o.image, o.mask, o.ids, o.truth) for o in found]
        random = np.random.default_rng(seed)
        order = random.permutation(len(images))
        half = len(images) // 2
        mine, others = (
            [images[i] for i in part] for part in (order[:half], order[half:])
        )
        done = correct(mine, arguments.corrections, random)
        painted = [one.painted() for one in mine if one.strokes.count()]
        print(f"{done} on {len(painted)} images", file=sys.stderr, flush=True)
        order = Round(
            start=checkpoint,
            data=painted,
            config=config,
            name="corrected",
            parent=parent,
            old=checkpoint,
        )
        with TemporaryDirectory() as folder:
            store = ModelStore(Path(folder))
            result = drain(train_round(order, store, folders=())).result
        row = {
            "seed": seed,
            "corrections": done,
            "images": len(painted),
            "others": len(others),
            "steps": result.steps,
            "improved": result.improved,
            "forgot": bool(result.forgetting and result.forgetting.forgot),
            "loss": [round(v.loss, 4) for v in (result.before, result.after)],
            "before": measure(others),
            "after": measure([predicted_again(o, result.checkpoint) for o in others]),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
