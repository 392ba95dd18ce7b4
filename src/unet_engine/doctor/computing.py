"""Devices, and a short prediction, learning from strokes and training on one of them.

``python -m unet_engine.doctor.computing auto`` prints a finding per line, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from unet_engine.annotations.annotations import Annotations
from unet_engine.compute.devices import choose_device, why_unusable
from unet_engine.devices import Device, is_remote
from unet_engine.doctor.finding import Finding, one_line
from unet_engine.doctor.named_device import check_line, device_finding
from unet_engine.errors import EngineError
from unet_engine.images import Image, LabelRule, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import LabelledImage
from unet_engine.training.rounds import fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

_EDGE = 128
"""Pixels of the edge of the generated image: some twenty nuclei, a second of work."""

_SOUND = 0.6
"""Least IoU that counts as found: both the bundled model and a learner reach 0.8."""

_STEPS = 4
"""Of the training: the loss is computed, and the weights are moved and kept."""

_SERIES = "https://pytorch.org/get-started/locally"


def computing_findings(device: Device = "auto") -> Iterator[Finding]:
    """Yield the devices, then what the kinds of work give on one of them.

    Parameters
    ----------
    device
        Where it is tested; where that one is not there, what ``auto`` takes.
    """
    yield from device_findings()
    if device != "auto":
        found = device_finding(device)
        yield found
        if found.state == "broken":
            device = "auto"
    yield from self_test(device)


def device_findings() -> Iterator[Finding]:
    """Yield each device with the reason why it is used or not."""
    chosen = choose_device("auto")
    threads = torch.get_num_threads()
    yield Finding(
        area="devices",
        state="ok",
        text=f"auto takes {chosen}; torch {torch.__version__}, {threads} threads of "
        f"{os.cpu_count()} processors",
    )
    yield _cuda()
    if sys.platform == "darwin":
        yield _mps()


def _cuda() -> Finding:
    reason = why_unusable("cuda")
    if not reason:
        names = [
            f"{torch.cuda.get_device_name(n)} "
            f"({torch.cuda.get_device_properties(n).total_memory / 2**30:.0f} GB)"
            for n in range(torch.cuda.device_count())
        ]
        return Finding(area="devices", state="ok", text=f"cuda: {', '.join(names)}")
    built_for = torch.version.cuda or torch.version.hip
    if not _has_nvidia_driver() and not torch.cuda.is_available():
        return Finding(area="devices", state="ok", text="cuda: there is no NVIDIA GPU")
    if built_for is None:
        reason = f"this PyTorch, {torch.__version__}, is a build for the CPU"
        advice = f"install a build with CUDA and its torchvision: {_SERIES}"
    elif os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        reason = "CUDA_VISIBLE_DEVICES hides every GPU"
        advice = "take CUDA_VISIBLE_DEVICES out of the environment"
    else:
        advice = (
            f"update the NVIDIA driver, or install a PyTorch for it: {_SERIES} (this "
            f"one is built for CUDA {built_for}); until then work is done on the CPU"
        )
    text = f"cuda: the NVIDIA GPU is not used: {_clause(reason)}"
    return Finding(area="devices", state="broken", text=text, advice=advice)


def _mps() -> Finding:
    reason = why_unusable("mps")
    if not reason:
        return Finding(area="devices", state="ok", text="mps: Apple's GPU works")
    return Finding(
        area="devices",
        state="note",
        text=f"mps: Apple's GPU is not used: {_clause(reason)}",
        advice="on Apple silicon with macOS 14 or later, install the newest PyTorch; "
        "work is done on the CPU",
    )


def _clause(reason: str) -> str:
    return " ".join(reason.split())[:200]


def _has_nvidia_driver() -> bool:
    """Whether the system has a driver of NVIDIA, whatever PyTorch makes of it."""
    return os.path.exists("/proc/driver/nvidia/version") or bool(
        shutil.which("nvidia-smi")
    )


def self_test(device: Device = "auto") -> Iterator[Finding]:
    """Predict, learn from strokes and train, each on a generated image of nuclei.

    Parameters
    ----------
    device
        Where; workers predict and train.
    """
    pixels, ids = nuclei((_EDGE, _EDGE), seed=0)
    image, truth = Image.from_array(pixels, "YX", name="generated"), ids > 0
    place = "" if device == "auto" else f" on {device}"
    for name, work in ("predict", _predict), ("Live", _live), ("train", _train):
        if name != "Live" or not is_remote(device):
            yield _timed(f"{name}{place}", work, image, truth, device)


def _timed(
    name: str,
    work: Callable[[Image, npt.NDArray[np.bool_], Device], str],
    image: Image,
    truth: npt.NDArray[np.bool_],
    device: Device,
) -> Finding:
    start = time.monotonic()
    try:
        text = work(image, truth, device)
        check_line(device)
    except Exception as error:  # noqa: BLE001  # whatever it is becomes a finding
        reason = str(error) if isinstance(error, EngineError) else one_line(error)
        return Finding(
            area="self-test",
            state="broken",
            text=f"{name}: {_clause(reason)}",
            advice="see to the other findings first; if there are none, report this "
            "as a bug with the whole report",
        )
    seconds = time.monotonic() - start
    return Finding(
        area="self-test", state="ok", text=f"{name}: {text}, {seconds:.1f} s"
    )


def _predict(image: Image, truth: npt.NDArray[np.bool_], device: Device) -> str:
    bundled = [info for info in ModelStore().list() if info.bundled]
    if not bundled:
        raise EngineError("there is no bundled model to predict with")
    checkpoint = ModelStore().load(bundled[0].name)
    found = predict(image, checkpoint, PredictConfig(device=device)).labels > 0
    return f"{bundled[0].name} finds the nuclei (IoU {_sound(found, truth):.2f})"


def _live(image: Image, truth: npt.NDArray[np.bool_], device: Device) -> str:
    cache = FeatureCache(
        image,
        Normalisation.measure(image),
        FeatureExtractor(device=choose_device(device)),
    )
    strokes = Annotations(truth.shape)
    left = np.zeros_like(truth)
    left[:, : _EDGE // 2] = True
    for label in 0, 1:
        strokes.set(np.nonzero(left & (truth == label)), label)
    learner = InstantLearner(2)
    learner.learn([(LabelledBlocks(cache), strokes)])
    whole = (slice(0, _EDGE), slice(0, _EDGE))
    found = np.zeros_like(truth)
    for tile in learner.iter_predict(cache, (), whole):
        found[tile.inner] = tile.labels > 0
    right = np.s_[:, _EDGE // 2 :]
    return f"learned from strokes (IoU {_sound(found[right], truth[right]):.2f})"


def _train(image: Image, truth: npt.NDArray[np.bool_], device: Device) -> str:
    checkpoint = start_checkpoint(ModelSpec(depth=2, width=8))
    labels = truth.astype(np.uint8)
    labelled = LabelledImage(
        image=image, labels=labels, rule=LabelRule(meaning="mask"), name="generated"
    )
    config = FineTuneConfig(
        steps=_STEPS, minutes=1, crop=64, batch=2, elastic=0, device=device
    )
    result = fine_tune(checkpoint, [labelled], config)
    moved = any(
        not np.array_equal(values, result.checkpoint.weights[name])
        for name, values in checkpoint.weights.items()
    )
    if not moved:
        raise EngineError("a training changed no weight")
    return f"{_STEPS} steps changed the weights"


def _sound(found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    """Return the IoU of a mask.

    Raises
    ------
    EngineError
        When it is less than any working computer gives.
    """
    iou = float((found & truth).sum() / max(1, (found | truth).sum()))
    if iou < _SOUND:
        raise EngineError(
            f"the nuclei of a generated image are not found (IoU {iou:.2f}, usual is "
            f"{_SOUND} and more), so numbers are computed wrongly"
        )
    return iou


def _print() -> None:
    for found in computing_findings(*sys.argv[1:]):
        sys.stdout.write(json.dumps(found.to_dict()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _print()
