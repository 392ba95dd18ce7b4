"""Live and a training by a worker at the end of a slow line, which is cut for a minute.

::

    sudo python benchmarks/remote_learning.py --json remote_learning.json

Linux, as root: two namespaces of this machine are the two ends, with a round trip of 20
ms, 20 Mbit/s and 1 % of the packets lost (``emulated_line``). Both ends share the
processors of this machine. Live is measured from the end of a stroke to the first and
to the last tile of a viewport of 512 x 512 pixels, what is learned anew included, on
the worker and on this machine in turn. The training is cut off from its worker for
``--cut`` seconds while strokes are painted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from emulated_line import FAR, emulated_line

from unet_engine.annotations.annotations import Annotations
from unet_engine.devices import checked_device
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.interactive.remote.learner import RemoteLearner
from unet_engine.interactive.remote.session import RemoteLive
from unet_engine.interactive.stages import StageMemory
from unet_engine.labels import IGNORE
from unet_engine.models.starting import model_of_planes
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import DataChanged, Note, Step
from unet_engine.training.remote.fine_tuning import iter_fine_tune_there

if TYPE_CHECKING:
    import numpy.typing as npt

_PORT = 8786
"""That of ``napari-unet worker`` unless another one is given."""
_VIEW = (slice(256, 768), slice(256, 768))
"""What is on screen, of an image of 1024 x 1024 pixels."""


def _stroke(
    strokes: Annotations, truth: npt.NDArray[Any], random: np.random.Generator
) -> None:
    """Paint a line of 40 pixels with a brush of 7, with what is there."""
    row, column = (int(n) for n in random.integers(270, 710, 2))
    part = np.s_[row : row + 7, column : column + 40]
    rows, columns = np.mgrid[part]
    strokes.set((rows, columns), (truth[part] > 0).astype(np.uint8))


def measure_live(device: str, count: int) -> dict[str, Any]:
    """Paint strokes, and return the seconds to the first and to the last tile."""
    pixels, truth = nuclei((1024, 1024), seed=1)
    image = Image.from_array(pixels, "YX", name="nuclei")
    normalisation = Normalisation.measure(image)
    extractor = FeatureExtractor(model_of_planes(ModelStore(), 1))
    live, memory = RemoteLive(device, extractor), StageMemory()
    blocks = {
        name: LabelledBlocks(FeatureCache(image, normalisation, extractor))
        for name in ("worker", "this machine")
    }
    random, strokes = np.random.default_rng(0), Annotations((1024, 1024))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in blocks}
    same = []
    while len(strokes.classes()) < 2:
        _stroke(strokes, truth, random)
    for _ in range(count):
        _stroke(strokes, truth, random)
        shown = []
        for name, one in blocks.items():
            learner: InstantLearner | RemoteLearner
            if name == "worker":
                learner = RemoteLearner(live, 2, network_share=0.5)
            else:
                learner = InstantLearner(2, memory=memory)
            started = time.monotonic()
            learner.learn([(one, strokes)])
            mask, first = np.zeros((1024, 1024), np.uint8), 0.0
            tiles = one.cache.tiles(_VIEW)
            sizes, at = iter(learner.at_once), 0
            size = 1
            while at < len(tiles):
                size = next(sizes, size)
                for done in learner.iter_tiles(one.cache, (), tiles[at : at + size]):
                    first = first or time.monotonic() - started
                    mask[done.inner] = done.labels
                at += size
            seconds[name].append((first, time.monotonic() - started))
            shown.append(mask)
        same.append(float(np.mean(shown[0] == shown[1])))
    return {"strokes": count, "same": min(same)} | {
        name: _described(values) for name, values in seconds.items()
    }


def _described(values: list[tuple[float, float]]) -> dict[str, float]:
    """Describe all strokes but the first, at which everything is sent and computed."""
    first, last = np.array(values).T
    return {
        "before_it_s": round(float(last[0]), 2),
        "first_tile_median_s": round(float(np.median(first[1:])), 2),
        "first_tile_p95_s": round(float(np.percentile(first[1:], 95)), 2),
        "view_median_s": round(float(np.median(last[1:])), 2),
        "view_p95_s": round(float(np.percentile(last[1:], 95)), 2),
    }


def measure_training(device: str, cut_s: float, minutes: float) -> dict[str, Any]:
    """Train while the line is cut, and return what arrived."""
    pixels, truth = nuclei((512, 512), seed=2)
    image = Image.from_array(pixels, "YX")
    block = Normalisation.measure(image).apply(pixels[None])

    def pair(rows: int) -> TrainingPair:
        target = (truth > 0).astype(np.uint8)
        target[rows:] = IGNORE
        return TrainingPair(block, target, "nuclei")

    source = Latest([pair(64)])
    config = FineTuneConfig(device=device, minutes=minutes)
    started = time.monotonic()
    steps: list[int] = []
    found: dict[str, Any] = {"cut_s": cut_s}
    run = iter_fine_tune_there(
        ModelStore().load("nuclei"), source, config, features_from=None
    )
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            result = end.value
            break
        now = round(time.monotonic() - started, 1)
        if isinstance(event, Step):
            steps.append(event.step)
            if len(steps) == 5:
                print("CUT", flush=True)
                found["steps_before"], found["at_s"] = len(steps), now
                source.post([pair(128)])
        if isinstance(event, Note):
            found.setdefault("notes", []).append((now, event.line))
        if isinstance(event, DataChanged):
            found["stroke_learned_s"] = now
            found["labelled_pixels"] = event.pixels
    return {
        **found,
        "seconds": round(time.monotonic() - started, 1),
        "steps": len(steps),
        "none_is_missing": steps == list(range(1, len(steps) + 1)),
        "improved": result.improved,
        "result_notes": result.notes,
    }


def _near(arguments: argparse.Namespace) -> None:
    """Be the end at which one paints."""
    device = checked_device(f"tcp://{arguments.token}@{FAR}:{_PORT}")
    live = measure_live(device, arguments.strokes)
    training = measure_training(device, arguments.cut, arguments.minutes)
    text = json.dumps({"live": live, "training": training}, indent=2)
    Path(arguments.json).write_text(text)


def _both(arguments: argparse.Namespace) -> None:
    """Make the line, start a worker at one end and measure at the other."""
    with emulated_line() as line, tempfile.TemporaryDirectory() as folder:
        token = Path(folder, "token")
        command = "from unet_engine.cli import main; raise SystemExit(main())"
        words = ["worker", "--host", FAR, "--port", str(_PORT), "--token-file"]
        worker = subprocess.Popen(
            line.far(sys.executable, "-c", command, *words, str(token)),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        given = ["--strokes", str(arguments.strokes), "--cut", str(arguments.cut)]
        given += ["--minutes", str(arguments.minutes), "--json", arguments.json]
        near = subprocess.Popen(
            line.near(sys.executable, __file__, "--token", token.read_text(), *given),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert near.stdout is not None
        for text in near.stdout:
            if text.strip() == "CUT":
                line.cut()
                time.sleep(arguments.cut)
                line.mend()
        near.wait()
        worker.terminate()
        worker.wait()
    print(Path(arguments.json).read_text())


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=30)
    parser.add_argument("--cut", type=float, default=60.0, help="seconds")
    parser.add_argument("--minutes", type=float, default=3.0, help="of the training")
    parser.add_argument("--json", default="remote_learning.json")
    parser.add_argument("--token", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.token:
        _near(arguments)
    else:
        _both(arguments)


if __name__ == "__main__":
    main()
