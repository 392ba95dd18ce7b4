"""The methods paragraph of a paper: what was done, by the history of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.models.collection.learning_curve import learning_curve
from unet_engine.models.collection.scores import mapping
from unet_engine.project_report.literature import Citations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.collection.learning_curve import RoundRow

_TOOL = "napari-unet-finetune"

_OPTIMISERS = {"adamw": "AdamW", "sgd": "stochastic gradient descent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """A paragraph and what it cites.

    Attributes
    ----------
    text
        The paragraph; what was not recorded is not in it.
    works
        What its marks ``[1]``, ``[2]`` refer to, in their order.
    """

    text: str
    works: tuple[str, ...]


def methods_of(model: ModelInfo, models: Sequence[ModelInfo]) -> Methods:
    """Write the methods paragraph of a model.

    Parameters
    ----------
    model
        The model that made the masks.
    models
        Those among which its ancestors are.
    """
    last: Mapping[str, Any] = model.history[-1] if model.history else {}
    versions = mapping(last.get("versions"))
    cited = Citations(str(versions.get(_TOOL) or ""))
    rounds = learning_curve(model, models)
    sentences = [
        *_tool(model, cited, versions),
        *_data(rounds),
        *_model(model, last, cited),
        *_training(model, last, cited, versions),
        *_rounds(rounds),
        *_score(rounds),
    ]
    return Methods(text=" ".join(sentences), works=cited.works())


def _tool(
    model: ModelInfo, cited: Citations, versions: Mapping[str, Any]
) -> Iterator[str]:
    version = f" {versions[_TOOL]}" if versions.get(_TOOL) else ""
    classes = _listed(model.spec.classes)
    what = f"segmented into the classes {classes}" if classes else "restored"
    yield f"Images were {what} with {_TOOL}{version} {cited.cite('tool')}."
    if model.bundled:
        yield f"The model {model.name}, which comes with it, was used as it is."


def _data(rounds: Sequence[RoundRow]) -> Iterator[str]:
    """Describe what the last round learned from."""
    if not rounds:
        return
    last = rounds[-1]
    pixels = sum(last.pixels.values())
    images = "" if last.images is None else f" on {_count(last.images, 'image')}"
    if last.strokes:
        each = _listed([f"{n:,} of {name}" for name, n in last.strokes.items()])
        time = ""
        if last.painting_minutes is not None:
            time = f" in {_duration(60 * last.painting_minutes)}"
        yield (
            f"{_count(sum(last.strokes.values()), 'stroke')} ({each}; {pixels:,} "
            f"pixels) were painted by hand{images}{time}."
        )
    elif pixels:
        each = _listed([f"{n:,} of {name}" for name, n in last.pixels.items()])
        yield f"{pixels:,} pixels ({each}) were labelled{images}."


def _model(
    model: ModelInfo, last: Mapping[str, Any], cited: Citations
) -> Iterator[str]:
    """Describe the classifier and the network, as far as the model has them."""
    if model.classifier is not None:
        yield (
            "A pixel classifier, the mean of a random forest and a logistic regression "
            f"{cited.cite('scikit-learn')} on filters and on features of a network, in "
            f"the manner of ilastik {cited.cite('ilastik')}, was fitted to the strokes."
        )
    if not model.has_network:
        return
    spec = model.spec
    if spec.imported is not None:
        yield f"A network of another program ({spec.imported.source}) was used."
        return
    title = spec.row.title
    kind = "volumes" if spec.ndim == 3 else "planes"
    start = str(last.get("base") or "")
    begun = ""
    if start:
        begun = f", starting from the weights of the model {start}"
        begun += f" {cited.cite('fine-tuning')}"
    yield (
        f"A {title} {cited.cite(_paper_of(spec.architecture, spec.ndim))} of {kind} "
        f"(depth {spec.depth}, {spec.width} channels at the first level) was "
        f"{'used' if model.bundled else 'trained'}{'' if model.bundled else begun}."
    )
    if model.classifier is not None:
        share = model.classifier.network_share
        yield (
            "The probabilities of both were averaged, with a share of "
            f"{share:.0%} for the network."
        )


def _training(
    model: ModelInfo,
    last: Mapping[str, Any],
    cited: Citations,
    versions: Mapping[str, Any],
) -> Iterator[str]:
    """Describe how the network was trained."""
    config = mapping(last.get("config"))
    steps, seconds = last.get("steps"), last.get("seconds")
    if not (model.has_network and config and isinstance(steps, int) and steps):
        return
    optimiser = str(config.get("optimiser"))
    named = _OPTIMISERS.get(optimiser, optimiser)
    if optimiser == "adamw":
        named += f" {cited.cite('adamw')}"
    version = f" {versions['torch']}" if versions.get("torch") else ""
    time = f" in {_duration(seconds)}" if isinstance(seconds, (int, float)) else ""
    yield (
        f"It was trained for {steps:,} steps of {config.get('batch')} crops of "
        f"{config.get('crop')} pixels with {named} (peak learning rate "
        f"{config.get('learning_rate')}){time}, in PyTorch{version} "
        f"{cited.cite('torch')}; the moving average of the weights "
        f"{cited.cite('mean-teacher')} was kept that did best on held-out labels, "
        f"{_share(config.get('validation'))} of all."
    )


def _rounds(rounds: Sequence[RoundRow]) -> Iterator[str]:
    if len(rounds) > 1:
        yield (f"In {len(rounds)} rounds masks were corrected and a model was trained.")


def _score(rounds: Sequence[RoundRow]) -> Iterator[str]:
    if not rounds or rounds[-1].score is None:
        return
    last = rounds[-1]
    assert last.score is not None
    if last.basis == "held-out":
        yield f"On held-out labels the mean IoU was {last.score.value:.2f}."
        return
    each = _listed(
        [
            f"{name} {one.value:.2f} ({one.low:.2f} to {one.high:.2f})"
            for name, one in last.classes.items()
        ]
    )
    yield (
        f"The expected IoU of the masks, by probabilities that strokes which were not "
        f"learned from bore out, was: {each}."
    )


def _paper_of(architecture: str, ndim: int) -> str:
    if architecture.startswith("fcn"):
        return "fcn"
    if architecture == "autoencoder":
        return "autoencoder"
    return "unet3d" if ndim == 3 else "unet"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _share(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, float) else "a part"


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
