"""A network while it learns: weights, their average, optimiser, crops."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from unet_engine.compute.devices import training_precision
from unet_engine.compute.loading import load_network
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import OutOfMemoryError
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.augmentation import Augmentation, Varied
from unet_engine.training.data.crops import CropSampler, crop_shape
from unet_engine.training.data.objects.border_weights import weigh_pieces
from unet_engine.training.data.pairs import TrainingPair, have_soft_targets
from unet_engine.training.forward import (
    FORMAT,
    forward,
    has_dropout,
    placed,
    prepare_to_learn,
)
from unet_engine.training.losses import (
    masked_cross_entropy,
    masked_dice,
    masked_map_entropy,
    soft_cross_entropy,
)
from unet_engine.training.optimisers import AdamW, Group, MomentumSGD
from unet_engine.training.parallel.processes import Processes
from unet_engine.training.weight_average import MOMENTUM, WeightAverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.data.crops import CropShape
    from unet_engine.training.optimisers import Optimiser

_DICE = 0.5
"""Weight of the Dice loss against the cross entropy, which is 1."""

_SOFT_TARGET_WEIGHT = 1.0
"""Weight of the soft targets where nobody labelled, against the labels."""

_TEACHER_WEIGHT = 5.0
"""The same of what a trained model predicted itself. Below 1 the rest of the image
collapses onto the class of the strokes; above 10 little is learned."""

_HEAD_RATE_FACTOR = 10.0
"""Learning rate of a new last layer, in those of the trained layers below it."""

_ANYWHERE = 0.5
"""Share of the crops that are centred on any pixel with soft targets, if there are."""

_YOUNG_MOMENTUM = 0.95
"""Of the average in a training from strokes: it must forget the start in time."""

_SGD_MOMENTUM = 0.99
"""As in Ronneberger et al. 2015, section 3."""

_CLIP = 5.0
"""Largest norm of a step's gradient: above it is shortened, so that a rare large one
does no harm."""

_DECAY = 1e-4
"""Weight decay of kernels, times the learning rate."""


class Optimisation:
    """A network and what it needs to take one step after the other.

    Parameters
    ----------
    checkpoint
        Where to start; its arrays are copied.
    pairs
        What to learn from.
    config
        Crop, batch, augmentation, statistics and seed.
    device
        As ``choose_device`` names it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair],
        config: FineTuneConfig,
        device: str,
    ) -> None:
        self.device = device
        self._dtype = training_precision(device)
        self.batch, self._least_batch = config.batch, config.processes
        self.frozen = config.statistics == "frozen" or (
            config.statistics == "auto" and checkpoint.trained
        )
        self.network = placed(load_network(checkpoint), device)
        self.average = WeightAverage(
            self.network,
            placed(load_network(checkpoint), device),
            _YOUNG_MOMENTUM
            if have_soft_targets(pairs) and not checkpoint.trained
            else MOMENTUM,
        )
        self._soft_target_weight = (
            _TEACHER_WEIGHT if checkpoint.trained else _SOFT_TARGET_WEIGHT
        )
        groups = _groups(self.network, fresh_head=checkpoint.fresh_head)
        self._optimiser = _make_optimiser(groups, config)
        self._dice = _DICE if config.dice else 0.0
        self._crop = crop_shape(
            checkpoint.spec, [pair.target.shape for pair in pairs], config.crop
        )
        self._augmentation = _make_augmentation(config, self._crop)
        self._generator = torch.Generator().manual_seed(config.seed)
        self._chance = np.random.default_rng(config.seed)
        self._classes = len(checkpoint.spec.classes)
        self._border_weight = config.border_weight
        self._sampler = self._make_sampler(pairs)
        self._processes = None
        if config.processes > 1:
            self._processes = Processes(
                self.network,
                checkpoint.spec,
                config.processes,
                device,
                frozen=self.frozen,
            )

    def learn_from(self, pairs: Sequence[TrainingPair]) -> None:
        """Take the next crops from other pairs, of the same kind."""
        self._sampler = self._make_sampler(pairs)

    def _make_sampler(self, pairs: Sequence[TrainingPair]) -> CropSampler:
        if self._border_weight:
            pairs = [weigh_pieces(pair, self._border_weight) for pair in pairs]
        *slices, _, edge = self._crop.outer
        return CropSampler(
            pairs,
            shape=(*slices, *2 * (self._augmentation.source_size(edge),)),
            jitter=[size // 3 for size in self._crop.learned],
            generator=self._chance,
            anywhere=_ANYWHERE if have_soft_targets(pairs) else 0.0,
            margin=self._crop.margin,
        )

    def step(self, learning_rate: float) -> float:
        """Take one step and return its loss; the batch shrinks if memory is short.

        Raises
        ------
        OutOfMemoryError
            When not even one crop fits.
        """
        while True:
            try:
                with translated_errors():
                    return self._step(learning_rate)
            except OutOfMemoryError as error:
                if self._processes is not None:
                    # They wait for this one, amid a step.
                    self._processes.close()
                if self.batch == self._least_batch:
                    size = " x ".join(map(str, self._crop.outer))
                    raise OutOfMemoryError(
                        f"a crop of {size} pixels does not fit the memory of "
                        f"{self.device}; use a smaller crop, or the CPU"
                    ) from error
                self.batch = max(self.batch // 2, self._least_batch)
                self._optimiser.forget_gradients()

    def _step(self, learning_rate: float) -> float:
        batch = self._draw()
        prepare_to_learn(self.network, frozen=self.frozen)
        self._optimiser.forget_gradients()
        loss = self._gradients(batch)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        value = float(loss.detach())
        if not np.isfinite(value):
            return value
        if bool(torch.isfinite(norm)):
            self._optimiser.step(learning_rate)
            self.average.update(self.network)
            return value
        # Found in bfloat16 on a processor, in small volumes: the loss is a number and
        # a gradient is not. One such step would spoil all weights.
        if self._dtype == torch.float32:
            return float("nan")
        self._dtype = torch.float32
        return value

    def _gradients(self, batch: Varied) -> Tensor:
        """Leave the gradients in the weights; return the loss of the batch."""
        seed = None
        if has_dropout(self.network):
            seed = int(torch.randint(2**31, (), generator=self._generator))
        if self._processes is not None:
            return self._processes.gradients(
                batch.images, self._dtype, seed, lambda found: self._loss(found, batch)
            )
        logits = forward(self.network, batch.images, self._dtype, seed)
        loss = self._loss(logits, batch)
        torch.autograd.backward(loss)
        return loss

    def close(self) -> None:
        """End the processes that share the steps, if there are any."""
        if self._processes is not None:
            self._processes.close()

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Return a copy of the averaged weights: arrays by name, in their shapes."""
        return {
            name: tensor.detach().cpu().contiguous().numpy().copy()
            for name, tensor in self.average.network.state_dict().items()
        }

    def kept(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return what the next step depends on: tensors, and texts by their names."""
        parts = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self._optimiser.state(),
            "chance": {"crops": self._generator.get_state()},
        }
        tensors = {
            f"{part}.{name}": tensor.detach().cpu().contiguous()
            for part, named in parts.items()
            for name, tensor in named.items()
        }
        numbers = {
            "averaged": self.average.steps,
            "batch": self.batch,
            "full": self._dtype == torch.float32,
            "chance": self._chance.bit_generator.state,
        }
        return tensors, {"optimisation": json.dumps(numbers)}

    def restore(self, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
        """Go on from what ``kept`` returned of the same network.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is of another; nothing has changed then.
        """
        numbers = json.loads(texts["optimisation"])
        # Tried on others first.
        np.random.default_rng().bit_generator.state = numbers["chance"]
        with translated_errors():
            torch.Generator().set_state(tensors["chance.crops"])
        targets = [
            ("network", self.network.state_dict()),
            ("average", self.average.network.state_dict()),
        ]
        found = [_matching(part, own, tensors) for part, own in targets]
        self._optimiser.restore(
            {
                name.removeprefix("optimiser."): one
                for name, one in tensors.items()
                if name.startswith("optimiser.")
            }
        )
        self.average.steps, self.batch = int(numbers["averaged"]), int(numbers["batch"])
        if numbers["full"]:
            self._dtype = torch.float32
        self._chance.bit_generator.state = numbers["chance"]
        self._generator.set_state(tensors["chance.crops"])
        for (_, own), values in zip(targets, found, strict=True):
            for name, tensor in own.items():
                # In place: weights keep their order in memory.
                tensor.copy_(values[name])

    def _draw(self) -> Varied:
        crops = self._sampler.draw(self.batch)
        # Apple's GPUs lack some of the resampling.
        place = "cpu" if self.device == "mps" else self.device
        # Both move with the image and keep their values.
        channels = [c for c in (crops.soft_targets, crops.object_maps) if c is not None]
        together = np.concatenate(channels, axis=1) if channels else None
        images, targets, weights, found, _ = self._augmentation(
            torch.from_numpy(crops.images).to(place),
            torch.from_numpy(crops.targets).to(place),
            self._crop.outer[-1],
            self._generator,
            *(
                None if part is None else torch.from_numpy(part).to(place)
                for part in (crops.weights, together)
            ),
        )
        # A network without padding does not predict the margin of its input.
        inner = (slice(None), *self._crop.inner)
        images = images.to(self.device)
        found = None if found is None else found[:, *inner].to(self.device)
        soft = 0 if crops.soft_targets is None else crops.soft_targets.shape[1]
        return Varied(
            images.contiguous(memory_format=FORMAT[images.ndim]),
            targets[inner].to(self.device),
            None if weights is None else weights[inner].to(self.device),
            found[:, :soft] if found is not None and soft else None,
            None if found is None or crops.object_maps is None else found[:, soft:],
        )

    def _loss(self, logits: Tensor, batch: Varied) -> Tensor:
        _, targets, weights, soft_targets, maps = batch
        logits, of_maps = logits[:, : self._classes], logits[:, self._classes :]
        truth = targets.masked_fill(targets == HELD_OUT, IGNORE)
        loss = masked_cross_entropy(logits, truth, weights)
        if self._dice:
            loss = loss + self._dice * masked_dice(logits, truth)
        if soft_targets is not None:
            loss = loss + self._soft_target_weight * soft_cross_entropy(
                logits, soft_targets, targets == IGNORE
            )
        if maps is not None:
            loss = loss + masked_map_entropy(of_maps, maps, targets != HELD_OUT)
        return loss


def _matching(
    part: str, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a part of a network, whose names and shapes are its own."""
    found = {name: tensors[f"{part}.{name}"] for name in own}
    for name, tensor in own.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise ValueError(f"{part}.{name} is {tuple(found[name].shape)}")
    return found


def _groups(network: nn.Module, *, fresh_head: bool) -> list[Group]:
    groups = []
    for head in (False, True):
        named = [p for n, p in network.named_parameters() if _is_head(n) == head]
        # Decay pulls kernels towards zero, not the scale of a normalisation or a bias.
        groups += [
            Group(
                parameters=[p for p in named if (p.ndim > 1) == kernel],
                decay=_DECAY if kernel else 0.0,
                rate_factor=_HEAD_RATE_FACTOR if head and fresh_head else 1.0,
            )
            for kernel in (True, False)
        ]
    return [group for group in groups if group.parameters]


def _is_head(name: str) -> bool:
    return name.startswith("head.")


def _make_optimiser(groups: Sequence[Group], config: FineTuneConfig) -> Optimiser:
    if config.optimiser == "sgd":
        return MomentumSGD(groups, _SGD_MOMENTUM)
    return AdamW(groups)


def _make_augmentation(config: FineTuneConfig, crop: CropShape) -> Augmentation:
    elastic = config.elastic
    if len(crop.learned) == 3:
        # The points of the coarse grid lie nearer in the smaller crop of a volume;
        # displacements of the size of their distance would fold it.
        elastic *= min(1.0, crop.outer[-1] / config.crop)
    return Augmentation(
        elastic=elastic,
        flips=config.flips,
        scaling=config.scaling,
        intensity=config.intensity,
    )
