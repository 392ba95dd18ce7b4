"""Model files and packages that were damaged or forged: one clear line, no more.

``FUZZ_ROUNDS`` in the environment sets how many are tried of each kind;
``benchmarks/fuzz.py`` goes on for minutes.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from fuzzing.files import KINDS, FileTrials

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    # The library leaves its files open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "40"))

# Of the others every one has to be refused, or some change nothing that matters.
LEAST = {
    "model_file": 0.8,
    "imported_model_file": 0.8,
    "sizes_of_model_file": 0.9,
    "package": 0.4,
    "description": 0.4,
    "weights": 0.3,
    "archive": 0.6,
}
"""Share of each kind that is refused at least."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileTrials]:
    folder = tmp_path_factory.mktemp("trials")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGEIO_CACHE_PATH", str(folder / "cache"))
        yield FileTrials(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_or_forged_is_refused_in_one_line(
    kind: str, trials: FileTrials
):
    refused = 0
    for number in range(ROUNDS):
        found = KINDS[kind](trials, random.Random(number))
        assert not found.fault, (number, found)
        refused += bool(found.refused)
    assert refused >= LEAST.get(kind, 1) * ROUNDS


def test_what_is_whole_is_taken(trials: FileTrials):
    for content in trials.model, trials.imported:
        assert (trials.look_at(content).refused, trials.look_at(content).fault) == (
            "",
            "",
        )
    assert trials.add(trials.package).refused == ""
    assert trials.add(trials.package, forged=True).fault
