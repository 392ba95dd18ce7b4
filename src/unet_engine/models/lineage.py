"""Which models were tuned from which: ancestors, children, the line through one.

A model records the names of its parent and the trainings before its own. Names change
when models are renamed, trainings do not; so an ancestor is found by both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unet_engine.models.checkpoint import ModelInfo

    History = Sequence[Mapping[str, Any]]


class KnownModel(Protocol):
    """A model in a file, or one that was described and is not trained yet."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def known_as(self) -> tuple[str, ...]:
        """Its name, and those that it had."""

    @property
    def history(self) -> tuple[dict[str, Any], ...]:
        """Its trainings."""


_Model = TypeVar("_Model", bound=KnownModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A model of a lineage, which may not be there any more.

    Attributes
    ----------
    name
        Its name, or the one that its child recorded.
    model
        What is known about it; None when it is not among the models.
    """

    name: str
    model: ModelInfo | None


def find_known(
    name: str, models: Sequence[_Model], history: History | None = None
) -> _Model | None:
    """Return the model that has or had a name.

    Parameters
    ----------
    name
        That was recorded.
    models
        Those there are.
    history
        The trainings that it had, where they are known: of several models that have
        or had the name, the one with these comes first.
    """
    known = [model for model in models if name and name in model.known_as]
    if history is not None:
        trained = _without_names(history)
        for model in known:
            if _without_names(model.history) == trained:
                return model
    known.sort(key=lambda model: model.name != name)
    return known[0] if known else None


def parent_of(model: ModelInfo, models: Sequence[ModelInfo]) -> Relative | None:
    """Return the model that one was tuned from; None when it is the first.

    Parameters
    ----------
    model
        Any.
    models
        Those there are.
    """
    others = [other for other in models if other.path != model.path]
    return _parent_in(model.history, others)


def children_of(model: ModelInfo, models: Sequence[ModelInfo]) -> tuple[ModelInfo, ...]:
    """Return the models that were tuned from one, the oldest first."""
    children = [
        other
        for other in models
        if (parent := parent_of(other, models)) is not None
        and parent.model is not None
        and parent.model.path == model.path
    ]
    return tuple(sorted(children, key=_created))


def ancestors_of(model: ModelInfo, models: Sequence[ModelInfo]) -> tuple[Relative, ...]:
    """Return the parent of a model, the parent of that, and so on.

    Of one that is not there any more its child has the trainings.
    """
    found: list[Relative] = []
    seen, history = {model.path}, model.history
    while history:
        others = [other for other in models if other.path not in seen]
        parent = _parent_in(history, others)
        if parent is not None:
            found.append(parent)
        if parent is None or parent.model is None:
            history = history[:-1]
        else:
            seen.add(parent.model.path)
            history = parent.model.history
    return tuple(found)


def line_through(
    model: ModelInfo, models: Sequence[ModelInfo]
) -> tuple[ModelInfo, ...]:
    """Return the models of a lineage that are there, the first ancestor first.

    After the model itself comes its newest child, and the newest of that.
    """
    line = [each.model for each in reversed(ancestors_of(model, models)) if each.model]
    line.append(model)
    seen = {each.path for each in line}
    while children := [c for c in children_of(line[-1], models) if c.path not in seen]:
        line.append(children[-1])
        seen.add(children[-1].path)
    return tuple(line)


def _parent_in(history: History, others: Sequence[ModelInfo]) -> Relative | None:
    """Return the parent that the last training of a model records."""
    name = str(history[-1].get("parent") or "") if history else ""
    if not name:
        return None
    found = find_known(name, others, history[:-1])
    return Relative(name=found.name if found else name, model=found)


def _created(model: ModelInfo) -> str:
    return str(model.history[-1].get("created") or "") if model.history else ""


def same_trainings(one: KnownModel, other: KnownModel) -> bool:
    """Whether two models, or one under two names, had the same trainings."""
    return _without_names(one.history) == _without_names(other.history)


def _without_names(history: History) -> list[dict[str, Any]]:
    """Leave out what a copy or another name of a model changes."""
    return [{k: v for k, v in entry.items() if k != "name"} for entry in history]
