"""Which models were tuned from which, by their names and their trainings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.lineage import (
    ancestors_of,
    children_of,
    line_through,
    parent_of,
)
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo


@pytest.fixture
def family(tmp_path: Path) -> dict[str, ModelInfo]:
    """``root`` → ``a`` → ``b``, ``c``; ``b`` → ``d``."""
    store = ModelStore(tmp_path)
    parents = {"root": "", "a": "root", "b": "a", "c": "a", "d": "b"}
    for number, (name, parent) in enumerate(parents.items()):
        before = store.load(parent).history if parent else ()
        entry = {"parent": parent, "created": f"2026-01-0{number + 1}", "steps": number}
        weights = {"w": np.zeros(1, np.float32)}
        store.save(name, Checkpoint(ModelSpec(), weights, (*before, entry)))
    return {info.name: info for info in store.list() if not info.bundled}


def test_the_line_goes_from_the_first_ancestor_to_the_newest_child(family):
    models = tuple(family.values())

    def line(name: str) -> list[str]:
        return [info.name for info in line_through(family[name], models)]

    assert line("a") == ["root", "a", "c"]
    assert line("b") == ["root", "a", "b", "d"]
    assert line("c") == ["root", "a", "c"]
    assert [c.name for c in children_of(family["a"], models)] == ["b", "c"]
    assert parent_of(family["root"], models) is None


def test_a_missing_ancestor_is_named_and_those_before_it_are_found(family):
    models = tuple(info for name, info in family.items() if name != "a")
    found = ancestors_of(family["d"], models)
    assert [(each.name, each.model is None) for each in found] == [
        ("b", False), ("a", True), ("root", False),
    ]  # fmt: skip
    assert [info.name for info in line_through(family["d"], models)] == [
        "root", "b", "d",
    ]  # fmt: skip


@given(parents=st.lists(st.sampled_from([*"abcde", ""]), min_size=5, max_size=5))
def test_records_that_go_in_a_circle_end(parents):
    from pathlib import Path

    from unet_engine.models.checkpoint import ModelInfo

    models = tuple(
        ModelInfo(
            name=name,
            path=Path(name),
            spec=ModelSpec(),
            history=({"parent": parent, "name": name},),
            bundled=False,
            size=1,
        )
        for name, parent in zip("abcde", parents, strict=True)
    )
    for info in models:
        names = [each.name for each in line_through(info, models)]
        assert len(names) == len(set(names))
        assert info.name in names
        assert info not in [each.model for each in ancestors_of(info, models)]
    renamed = replace(models[0], name="z")
    assert renamed.known_as == ("z", "a")
