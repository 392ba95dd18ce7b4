"""The methods compared: the tools that users have, and this one."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal
from unittest import mock

import numpy as np
import torch
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from torch.nn import functional

from unet_engine.annotations.annotations import Annotations
from unet_engine.compute.loading import load_network
from unet_engine.generators import drain
from unet_engine.images import Normalisation, match_channels
from unet_engine.interactive import stages
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.labels import IGNORE
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint, start_features
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage
from unet_engine.training.rounds import Round, train_round

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from stroke_study.subjects import Subject

    Mask = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float32]

CLASSES = ("background", "foreground")
VIEWPORT = 512
"""Pixels of an edge of what is on screen around a stroke."""


class Method(ABC):
    """Learns from the strokes on some images and predicts others.

    Parameters
    ----------
    trained
        The images that are painted on.

    Attributes
    ----------
    shown
        The IoU of the foreground that the window shows, or None.
    """

    shown: float | None = None

    def __init__(self, trained: Sequence[Subject]) -> None:
        self.trained = trained

    @abstractmethod
    def learn(self, strokes: Sequence[Annotations]) -> None:
        """Learn from all strokes so far, those of each image."""

    @abstractmethod
    def probability(self, subject: Subject) -> Floats:
        """Return the probability of the foreground, ``(Y, X)``; 0 before a stroke."""

    def refresh_seconds(self, number: int, before: Mask, after: Mask) -> float | None:
        """Return how long a stroke takes to show in a viewport around it.

        What is on screen and the strokes ``before`` it, ``(Y, X)`` uint8, are known.
        """
        return None


class Forest(Method):
    """A random forest on the features of scikit-image: ilastik, Labkit, Convpaint.

    Features and forest are those of scikit-image's example of a trainable
    segmentation, which is better here than fully grown trees.
    """

    def __init__(self, trained: Sequence[Subject]) -> None:
        super().__init__(trained)
        self._forest: RandomForestClassifier | None = None
        self._features: dict[int, Floats] = {}

    def learn(self, strokes: Sequence[Annotations]) -> None:
        targets = [one.target(()) for one in strokes]
        pairs = list(zip(self.trained, targets, strict=True))
        pixels = [self._of(s)[t != IGNORE] for s, t in pairs]
        self._forest = RandomForestClassifier(
            100, max_depth=10, max_samples=0.05, n_jobs=-1, random_state=0
        ).fit(
            np.concatenate(pixels), np.concatenate([t[t != IGNORE] for _, t in pairs])
        )

    def probability(self, subject: Subject) -> Floats:
        if self._forest is None:
            return np.zeros(subject.truth.shape, np.float32)
        features = self._of(subject)
        known = self._forest.predict_proba(features.reshape(-1, features.shape[-1]))
        return known[:, 1].reshape(subject.truth.shape).astype(np.float32)

    def _of(self, subject: Subject) -> Floats:
        if id(subject) not in self._features:
            self._features[id(subject)] = multiscale_basic_features(
                np.moveaxis(normalised(subject), 0, -1),
                sigma_min=1,
                sigma_max=16,
                channel_axis=-1,
            ).astype(np.float32)
        return self._features[id(subject)]


class NaiveUNet(Method):
    """A U-Net tuned on the strokes as a script would: Adam, random crops, no more."""

    def __init__(
        self, trained: Sequence[Subject], base: Checkpoint | None, seconds: float
    ) -> None:
        super().__init__(trained)
        self._checkpoint = start_for(trained, base)
        self._seconds = seconds
        self._network: nn.Module | None = None

    def learn(self, strokes: Sequence[Annotations]) -> None:
        targets = [one.target(()) for one in strokes]
        started = time.monotonic()
        if self._network is None:
            self._network = load_network(self._checkpoint)
        network, random = self._network.train(), np.random.default_rng(0)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        images = [normalised(subject) for subject in self.trained]
        painted = [i for i, t in enumerate(targets) if (t != IGNORE).any()]
        while time.monotonic() - started < self._seconds:
            crops = [
                _crop(images[i], targets[i], random) for i in random.choice(painted, 4)
            ]
            image, target = (
                torch.from_numpy(np.stack(p)) for p in zip(*crops, strict=True)
            )
            loss = functional.cross_entropy(
                network(image), target.long(), ignore_index=IGNORE
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    @torch.no_grad()
    def probability(self, subject: Subject) -> Floats:
        if self._network is None:
            return np.zeros(subject.truth.shape, np.float32)
        image = torch.from_numpy(normalised(subject))[None]
        height, width = image.shape[2:]
        padded = functional.pad(
            image, (0, -width % 16, 0, -height % 16), mode="reflect"
        )
        logits = self._network.eval()(padded)[0, :, :height, :width]
        return logits.softmax(0)[1].numpy()


class Live(Method):
    """The instant learner."""

    def __init__(self, trained: Sequence[Subject], base: Checkpoint | None) -> None:
        super().__init__(trained)
        checkpoint = None if base is None else start_for(trained, base)
        self._extractor = FeatureExtractor(checkpoint)
        self._images: dict[int, LabelledBlocks] = {}
        self._learner = InstantLearner(len(CLASSES))
        self._learned = False

    def learn(self, strokes: Sequence[Annotations]) -> None:
        self._learner.learn(self._painted(strokes))
        self._learned = True

    def probability(self, subject: Subject) -> Floats:
        whole = np.zeros(subject.truth.shape, np.float32)
        if self._learned:
            everything = (slice(None),) * 2
            source = self._of(subject).cache
            for tile in self._learner.iter_predict(source, (), everything):
                assert tile.probabilities is not None
                whole[tile.inner] = tile.probabilities[1]
        return whole

    def refresh_seconds(self, number: int, before: Mask, after: Mask) -> float | None:
        stroke = np.argwhere(after != before)
        if len(np.unique(after)) < 3 or not len(stroke):
            return None
        strokes = [Annotations(s.truth.shape) for s in self.trained]
        strokes[number] = annotations_of(after)
        y, x = stroke.mean(axis=0)
        viewport = tuple(
            slice(max(0, int(c) - VIEWPORT // 2), int(c) + VIEWPORT // 2)
            for c in (y, x)
        )
        blocks = self._of(self.trained[number])
        blocks.take(annotations_of(before))
        source = blocks.cache
        for row, column in source.blocks(viewport):
            source.features((), row, column)
        started = time.monotonic()
        self._learner.learn(self._painted(strokes))
        for _ in self._learner.iter_predict(source, (), viewport, near=(y, x)):
            pass
        return time.monotonic() - started

    def _painted(
        self, strokes: Sequence[Annotations]
    ) -> list[tuple[LabelledBlocks, Annotations]]:
        return [
            (self._of(subject), one)
            for subject, one in zip(self.trained, strokes, strict=True)
        ]

    def _of(self, subject: Subject) -> LabelledBlocks:
        if id(subject) not in self._images:
            cache = FeatureCache(
                subject.image, Normalisation.measure(subject.image), self._extractor
            )
            self._images[id(subject)] = LabelledBlocks(cache)
        return self._images[id(subject)]


class OneStage(Live):
    """The instant learner as it is without stages: fitted to all strokes at once."""

    def learn(self, strokes: Sequence[Annotations]) -> None:
        with mock.patch.object(stages, "stage_ends", lambda times: []):
            super().learn(strokes)


class Product(Live):
    """What is on screen after strokes with Live and a click on Fine-tune.

    The functions are those behind the button, with their defaults: a round of training
    that starts from what the model on screen was tuned from, on all strokes, and a
    prediction with the model that it saves.
    """

    def __init__(
        self,
        trained: Sequence[Subject],
        base: Checkpoint | None,
        folder: Path,
        limits: Mapping[str, float],
    ) -> None:
        super().__init__(trained, base)
        self._start = start_for(trained, base)
        self._limits = limits
        self._store = ModelStore(folder)
        self._parent = None if base is None else self._store.info("general")
        self._model: Checkpoint | None = None

    def learn(self, strokes: Sequence[Annotations]) -> None:
        super().learn(strokes)
        data = [
            PaintedImage(
                image=subject.image, strokes=one, features=self._of(subject).cache
            )
            for subject, one in zip(self.trained, strokes, strict=True)
            if one.count()
        ]
        order = Round(
            start=self._model or self._start,
            data=data,
            config=FineTuneConfig(
                **{**ARCHITECTURES["unet"].transfer_recipe, **self._limits}
            ),
            name="product",
            parent=self._parent,
            old=self._model,
            restarts=self._model is not None,
        )
        trained = drain(train_round(order, self._store, folders=()))
        score = trained.result.score_after
        self.shown = score.ious[1] if score and score.is_known else None
        if trained.model is not None:
            self._parent = trained.model
            self._model = Checkpoint.load(trained.model.path)

    @property
    def network_share(self) -> float | None:
        """Weight of the network in the model's mean; None without a classifier."""
        part = None if self._model is None else self._model.classifier
        return None if part is None else part.network_share

    def probability(self, subject: Subject) -> Floats:
        return self.by(subject, "full")

    def by(self, subject: Subject, effort: Literal["fast", "full"] | None) -> Floats:
        """Return the probability by all of the model, or parts of it.

        Parameters
        ----------
        subject
            Which image.
        effort
            Of the prediction: all, or the network alone. None: of Live alone.
        """
        if self._model is None or effort is None:
            return super().probability(subject)
        image = match_channels(subject.image, self._start.spec.in_channels)
        config = PredictConfig(probabilities=True, effort=effort)
        # As in the window, where Live keeps them.
        features = self._of(subject).cache
        found = predict(image, self._model, config, features=features)
        return np.asarray(found.probabilities)[1]

    def refresh_seconds(self, number: int, before: Mask, after: Mask) -> float | None:
        return None


class Network(Product):
    """The network of the model alone, as a quick prediction uses it."""

    def probability(self, subject: Subject) -> Floats:
        return self.by(subject, "fast")


def start_for(trained: Sequence[Subject], base: Checkpoint | None) -> Checkpoint:
    """Return what a network starts from: random weights, or those of a base."""
    channels = trained[0].image.channels
    if base is None:
        return start_checkpoint(ModelSpec(in_channels=channels, classes=CLASSES))
    return start_features(base, classes=CLASSES, in_channels=channels)


def normalised(subject: Subject) -> Floats:
    """Return an image as input of the networks, ``(C, Y, X)`` float32."""
    image = subject.image
    return Normalisation.measure(image).apply(image.read())


def annotations_of(target: Mask) -> Annotations:
    """Return strokes, ``(Y, X)`` uint8 with ``IGNORE``, as the plugin holds them."""
    annotations = Annotations(target.shape)
    where = np.nonzero(target != IGNORE)
    if len(where[0]):
        annotations.set(where, target[where])
    return annotations


def _crop(
    image: Floats, target: Mask, random: np.random.Generator, size: int = 192
) -> tuple[Floats, Mask]:
    """Cut a crop of ``size`` pixels around a painted one, mirrored at the border."""
    places = np.argwhere(target != IGNORE)
    y, x = places[random.integers(len(places))] + random.integers(0, size, 2)
    image = np.pad(image, ((0, 0), (size, size), (size, size)), mode="symmetric")
    target = np.pad(target, size, constant_values=IGNORE)
    return image[:, y : y + size, x : x + size], target[y : y + size, x : x + size]
