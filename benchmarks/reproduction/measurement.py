"""Train and measure one row."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reproduction.datasets import DATASETS, Dataset, make_pairs, read_part
from reproduction.rows import NETWORKS, ROWS, Network, Row, Scale, coarser_row
from unet_engine.compute.devices import training_precision
from unet_engine.generators import drain
from unet_engine.metrics import report
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ARCHITECTURES, ModelSpec, build
from unet_engine.models.starting import start_checkpoint, start_imagenet, start_staged
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.events import Validation
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.training.events import FineTuned, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How all rows of a run are measured.

    Attributes
    ----------
    data
        Folder of all data.
    models
        Folder where the trained models are kept, for the rows that start from them.
    scale
        Widths and crops.
    imagenet
        Start VGG-16 and AlexNet from ImageNet; else from random weights.
    device
        Where to run.
    limits
        ``minutes`` or ``steps`` of each training, if not as usual.
    """

    data: Path
    models: Path
    scale: Scale
    imagenet: bool
    device: Device
    limits: dict[str, Any]

    def start_of(self, name: str) -> str:
        """Name the weights a row starts from: those of a classifier, or random ones."""
        backbone = NETWORKS[ROWS[name].network].backbone
        if not backbone:
            return "random weights"
        return "ImageNet" if self.imagenet else "random weights"

    def model_of(self, name: str) -> Path:
        """Return the file of a row's model."""
        start = self.start_of(name).replace(" ", "-")
        return self.models / self.scale / f"{name}-{start}.safetensors"


def measure(name: str, setting: Setting) -> dict[str, Any]:
    """Train a row, keep its model, and return the figures.

    The row that it starts from must have been measured before.
    """
    row = ROWS[name]
    data, network = DATASETS[row.data], NETWORKS[row.network]
    # Read before the training, so that missing data cost no time.
    kept_apart = read_part(setting.data, data, "kept_apart")
    checkpoint = _start(name, data, network, setting)
    config = _config(row, setting)
    images = read_part(setting.data, data, "training", row.images)
    pairs = make_pairs(images, data, checkpoint.spec, config.border_weight)
    started = time.monotonic()
    result = _train(name, iter_fine_tune(checkpoint, pairs, config))
    minutes = (time.monotonic() - started) / 60
    path = setting.model_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.checkpoint.save(path)
    return {
        "row": name,
        "scale": setting.scale,
        "start": setting.start_of(name),
        "parameters": _count_parameters(checkpoint.spec),
        "minutes": minutes,
        "steps": result.steps,
        "device": _describe_device(config.device),
        "validation_iou": result.after.iou,
        "scores": _score(result.checkpoint, kept_apart, data, config.device),
    }


def _start(name: str, data: Dataset, network: Network, setting: Setting) -> Checkpoint:
    coarser = coarser_row(name)
    if coarser is not None:
        model = Checkpoint.load(setting.model_of(coarser))
        return start_staged(model, network.architecture)
    pretrained = bool(network.backbone) and setting.imagenet
    values = {**network.spec[setting.scale], **ROWS[name].spec}
    if pretrained:
        # What was learned on ImageNet fits the published width alone.
        values.pop("width", None)
    spec = ModelSpec.for_architecture(
        network.architecture,
        classes=data.classes,
        in_channels=data.channels,
        **values,
    )
    return start_imagenet(spec) if pretrained else start_checkpoint(spec)


def _config(row: Row, setting: Setting) -> FineTuneConfig:
    network, data = NETWORKS[row.network], DATASETS[row.data]
    architecture = ARCHITECTURES[network.architecture]
    recipe = dict(architecture.recipe)
    if network.backbone and setting.imagenet:
        recipe |= architecture.transfer_recipe
    usual = {**network.minutes, **row.minutes}[setting.scale]
    limits = {"minutes": min(usual, data.most_minutes)}
    if setting.limits:
        limits = {"minutes": 0.0, **setting.limits}
    values = {**recipe, **network.config[setting.scale], **row.config, **limits}
    return FineTuneConfig(device=setting.device, **values)


def _train(name: str, run: Any) -> FineTuned:
    def show(event: Step | Validation) -> None:
        if isinstance(event, Validation):
            print(
                f"{name}: step {event.step}, {event.seconds:.0f} s, validation IoU "
                f"{event.iou:.3f}, loss {event.loss:.3f}",
                file=sys.stderr,
                flush=True,
            )

    result: FineTuned = drain(run, show)
    return result


def _score(
    checkpoint: Checkpoint,
    images: Sequence[tuple[Image, Any]],
    data: Dataset,
    device: Device,
) -> dict[str, float]:
    """Predict the images that were kept apart, averaged over the flips, and judge."""
    config = PredictConfig(device=device, probabilities=True, average_flips="on")
    found = [predict(image, checkpoint, config) for image, _ in images]
    truth = [labels for _, labels in images]
    if data.membranes:
        membrane = np.stack([p.probabilities[1] for p in found])
        return report(np.stack(truth), membrane, "membranes", names=data.classes)
    # All pixels of all images together, whatever their sizes.
    return report(
        np.concatenate([t.ravel() for t in truth]),
        np.concatenate([p.labels.ravel() for p in found]),
        "classes",
        names=data.classes,
    )


def _count_parameters(spec: ModelSpec) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(spec).parameters())


def _describe_device(device: Device) -> str:
    if device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    used, cores = torch.get_num_threads(), os.cpu_count()
    bits = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    precision = bits[training_precision("cpu")]
    return f"CPU, {used} of {cores} cores, {precision}"
