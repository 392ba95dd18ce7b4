"""One round of training: images with labels, a model to start from, a new model saved.

The dock and the command line train by ``train_round``; scripts that save what they like
themselves, by ``fine_tune``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unet_engine.devices import is_remote
from unet_engine.errors import DataError
from unet_engine.generators import discard, drain
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.object_maps import with_fresh_object_maps
from unet_engine.models.starting import feature_model, with_classes
from unet_engine.stopping import never
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course.interrupted_run import InterruptedRun
from unet_engine.training.data.estimated_sizes import EstimatedSizes
from unet_engine.training.data.labelled_images import LabelledImage, training_pairs
from unet_engine.training.data.pairs import TrainingPair, recorded_pairs
from unet_engine.training.data.remembered_crops import load_remembered
from unet_engine.training.data.sources import Source
from unet_engine.training.events import Note, Saving
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.forgetting import check_forgetting
from unet_engine.training.remote.fine_tuning import iter_fine_tune_there
from unet_engine.training.round_record import round_record
from unet_engine.training.saving import Trained, save_trained

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Generator, Iterable, Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import PaintedImage
    from unet_engine.training.events import FineTuned, TrainingEvent


_INTERRUPTED = ".training"
"""Suffix of the file of a training, beside where its model will be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """What one training starts from, learns from and makes.

    Attributes
    ----------
    start
        What is trained, with the classes of the data.
    data
        Images with label images or strokes, whose values are these classes; or a source
        of them, from which the training takes what is added while it runs.
    config
        How to train.
    name
        Of the new model.
    parent
        The model that ``start`` was made from; None where there is none.
    old
        Its weights. Without them it is not compared with the new model.
    overwrite
        A complete training replaces a model of the name; else the new one gets a free
        name.
    restarts
        Trainings that follow one another forget what came first. So where all that the
        parent was tuned on is here again, what it was tuned from is tuned anew, on all
        of it at once.
    resumes
        Whether to go on with a training of this name, start and data whose process
        ended before it. Each is kept beside where its model will be, as long as it
        runs.
    """

    start: Checkpoint
    data: Sequence[LabelledImage | PaintedImage] | Source[LabelledImage | PaintedImage]
    config: FineTuneConfig
    name: str
    parent: ModelInfo | None = None
    old: Checkpoint | None = None
    overwrite: bool = False
    restarts: bool = False
    resumes: bool = False


def train_round(
    order: Round,
    store: ModelStore,
    *,
    folders: Iterable[str | os.PathLike[str]],
    stop: Stop = never,
) -> Generator[TrainingEvent | Saving, None, Trained]:
    """Train a model and save it, if it became better.

    Parameters
    ----------
    order
        What to train, and on what.
    store
        Where the new model goes, and what it was tuned from is found.
    folders
        Where a model is saved that cannot be saved there, the first one first.
    stop
        Polled before every step; True ends the training, and its best model is saved.

    Yields
    ------
    TrainingEvent or Saving
        What is odd about the data, then as of ``iter_fine_tune``, then that the model
        is about to be saved.

    Raises
    ------
    EngineError
        When the data cannot be used or the training fails.
    """
    reading = _Reading(order, stop)
    pairs, left_out = yield from reading.first()
    order = reading.order
    base, start = _choose_start(order, store, {pair.name for pair in pairs})
    interrupted = InterruptedRun(
        store.root / f"{order.name}{_INTERRUPTED}", resume=order.resumes
    )
    data = reading if reading.follows else pairs
    features_from = feature_model(store, start)
    if is_remote(order.config.device):
        training = iter_fine_tune_there(
            start, data, order.config, features_from=features_from, stop=stop
        )
    else:
        training = iter_fine_tune(
            start,
            data,
            order.config,
            features_from=features_from,
            interrupted=interrupted,
            stop=stop,
        )
    result = yield from training
    result = replace(result, notes=(*result.notes, *left_out))
    if not result.improved:
        interrupted.remove()
        return Trained(result=result)
    crops: Sequence[TrainingPair]
    result, crops = check_forgetting(
        result,
        order.old or start,
        _remembered(order) if result.share else (),
        reading.pairs,
        device=order.config.device,
    )
    result = _with_origin(result, order, base, store, reading.pairs)
    yield Saving()
    trained = save_trained(
        result,
        store,
        order.name,
        crops=crops,
        overwrite=order.overwrite,
        folders=folders,
    )
    interrupted.remove()
    return trained


def fine_tune(
    checkpoint: Checkpoint,
    data: Iterable[LabelledImage | PaintedImage],
    config: FineTuneConfig | None = None,
    *,
    features_from: Checkpoint | None = None,
    stop: Stop = never,
    on_event: Callable[[TrainingEvent], object] = discard,
) -> FineTuned:
    """Train a copy of a model on images with labels or strokes.

    Pixels that nobody labelled take no part. A part of the others is held out, and the
    weights that were best there are returned. Nothing is saved: see ``ModelStore``.

    Parameters
    ----------
    checkpoint
        The model to start from, which is not changed. ``with_classes`` gives it others.
    data
        Images with label images, as ``open_labelled`` returns them, or with strokes.
    config
        Limits and settings; None for the defaults.
    features_from
        A model of planes whose maps are features of the pixel classifier; None: the
        one to start from.
    stop
        Polled before every step; True ends the training and keeps its best weights.
    on_event
        Called with every step, every validation, and what is odd about the data.

    Returns
    -------
    FineTuned
        ``checkpoint`` is the new model, or the very one that came in when nothing
        better was found.

    Raises
    ------
    DataError
        When no pixel is labelled, or the data do not fit the model.
    EngineError
        As ``iter_fine_tune`` raises them.

    Examples
    --------
    >>> from unet_engine import FineTuneConfig, Image, ModelSpec
    >>> from unet_engine import fine_tune, open_labelled, start_checkpoint
    >>> from unet_engine.synthetic.nuclei import nuclei
    >>> pixels, truth = nuclei((64, 64), seed=0)
    >>> image = Image.from_array(pixels, "YX", name="generated")
    >>> data = open_labelled([(image, truth)], values="objects")
    >>> model = start_checkpoint(ModelSpec(depth=2, width=4))
    >>> config = FineTuneConfig(steps=3, minutes=0, crop=32, batch=2)
    >>> fine_tune(model, data, config).checkpoint.spec.classes
    ('background', 'foreground')
    """
    config = config or FineTuneConfig()
    order = Round(start=checkpoint, data=tuple(data), config=config, name="")
    return drain(_tune(order, features_from, stop), on_event)


def _tune(
    order: Round, features_from: Checkpoint | None, stop: Stop
) -> Generator[TrainingEvent, None, FineTuned]:
    reading = _Reading(order, stop)
    pairs, left_out = yield from reading.first()
    there = is_remote(order.config.device)
    result = yield from (iter_fine_tune_there if there else iter_fine_tune)(
        reading.order.start, pairs, order.config, features_from=features_from, stop=stop
    )
    return replace(result, notes=(*result.notes, *left_out))


class _Reading(Source[TrainingPair]):
    """Reads what an order learns from, at the start and where it has changed."""

    def __init__(self, order: Round, stop: Stop) -> None:
        self.order = order
        self._source = order.data if isinstance(order.data, Source) else None
        self._sizes = EstimatedSizes(
            order.old or order.start, order.config.device, stop
        )
        self.pairs: Sequence[TrainingPair] = ()
        self._first = True

    @property
    def follows(self) -> bool:
        """Whether what it reads may change."""
        return self._source is not None

    def first(
        self,
    ) -> Generator[Note, None, tuple[list[TrainingPair], tuple[str, ...]]]:
        """Read what is labelled, and describe labels that are left out."""
        order = self.order
        lines: list[str] = []
        read: list[TrainingPair] = []
        data = order.data if not isinstance(order.data, Source) else order.data.poll()
        data = self._sizes.settled(data or ())
        order = self.order = _with_object_maps(order, data)
        for pair in training_pairs(data, order.start.spec, order.config, lines.append):
            read.append(pair)
            yield from map(Note, lines)
            lines.clear()
        yield from map(Note, lines)
        if not read:
            raise DataError(
                "no pixel of the chosen images is labelled; label some pixels of at "
                "least two classes"
            )
        pairs, lost = recorded_pairs(read)
        self.pairs = pairs
        if not lost:
            return pairs, ()
        sentence = f"{lost[0].upper()}{lost[1:]}."
        yield Note(sentence)
        return pairs, (sentence,)

    def poll(self) -> Sequence[TrainingPair] | None:
        """Return what was read first, and then what has changed."""
        if self._first:
            self._first = False
            return self.pairs
        data = self._source.poll() if self._source is not None else None
        if data is None:
            return None
        spec, config = self.order.start.spec, self.order.config
        pairs = [*training_pairs(self._sizes.settled(data), spec, config)]
        # Without any label it goes on with those before.
        self.pairs = pairs or self.pairs
        return pairs


def _with_object_maps(
    order: Round, data: Sequence[LabelledImage | PaintedImage]
) -> Round:
    """Have a new model learn object maps too where labels are object ids."""
    start = order.start
    ids = any(
        isinstance(one, LabelledImage) and one.rule.meaning == "objects" for one in data
    )
    # One that is trained gets no map that only these labels would have trained.
    if start.trained or not ids:
        return order
    return replace(order, start=with_fresh_object_maps(start, order.config.seed))


def _remembered(order: Round) -> Sequence[TrainingPair]:
    """Return the crops of what the network of the parent had learned."""
    if order.parent is None or order.old is None:
        return ()
    part = order.old.classifier
    if part is not None and not part.network_share:
        return ()
    return load_remembered(order.parent)


def _choose_start(
    order: Round, store: ModelStore, names: Collection[str]
) -> tuple[ModelInfo | None, Checkpoint]:
    """Return the model that is tuned and its weights: the parent, or what it was."""
    parent = order.parent
    if parent is None or not parent.history or not order.restarts:
        return parent, order.start
    here = set(parent.history[-1].get("data", ())) <= set(names)
    base = store.base_of(parent.history) if here else None
    if base is None:
        return parent, order.start
    spec = order.start.spec
    weights = adapt_checkpoint(Checkpoint.load(base.path), in_channels=spec.in_channels)
    return base, with_classes(weights, spec.classes, seed=order.config.seed)


def _with_origin(
    result: FineTuned,
    order: Round,
    base: ModelInfo | None,
    store: ModelStore,
    pairs: Sequence[TrainingPair],
) -> FineTuned:
    """Record the model that was chosen, the one whose weights were tuned, and the data.

    The second is found again by its name, so it must be in the store, and be the same
    network.
    """
    *earlier, last = result.checkpoint.history
    architecture = result.checkpoint.spec.architecture
    tuned = (
        base is not None
        and base.spec.architecture == architecture
        and store.holds(base)
    )
    last = {**last, "base": base.name if base is not None and tuned else ""}
    if order.parent is not None:
        last["parent"] = order.parent.name
    classes = result.checkpoint.spec.classes
    last |= round_record(pairs, classes, result.score_after)
    checkpoint = replace(result.checkpoint, history=(*earlier, last))
    return replace(result, checkpoint=checkpoint)
