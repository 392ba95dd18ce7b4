"""Tests of the words of code and documents, and of the reasons for constants."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("src/unet_engine", "napari_unet", "benchmarks", "bundled_models")

RETIRED = {
    "said|says?|saying": "names, states, holds, returns",
    "told|tells?|telling": "reports, shows, finds, distinguishes",
    "hears?|heard|hearing": "records, counts",
    "opinions?": "tuned probabilities",
    "stor(y|ies)": "origin note, description",
    "guess(es|ed|ing)?": "prediction, soft target, pseudo-label, assumption",
    "taught|teach(es|ing)?": "soft targets, training",
    "desks?": "session",
    "sights?": "viewport",
    "pace": "speed, rate factor",
    "drafts?": "untrained model",
    "journals?": "stroke log, finished tiles",
    "replay(s|ed|ing)?": "forgetting",
    "likeliest": "most probable",
}
"""What prose and names do not use, as patterns of whole words, and what they use."""

RETIRED_NAMES = "Nowhere|LiveDesk|Sight|Pace|Draft|Replay|Journal|Look|Given"
"""Parts of names in CamelCase that were replaced."""

RIGHT = {
    # Names of others, and a key in files of models.
    'last = {**last, "replay": _record(found)}',
    '# shape and roundness of quartz particles", Journal of Geology 43).',
    "file.truncate(file.tell() - len(rest))",
    "graph.replay()",
}
"""Lines in which such a word is right."""


def texts_in(place: str) -> list[Path]:
    """Return a document, the documents in ``docs``, or the modules of a package."""
    path = ROOT / place
    if path.is_file():
        return [path]
    texts = sorted(path.rglob("*.md" if place == "docs" else "*.py"))
    assert texts
    return texts


def retired_in(line: str) -> list[str]:
    """Return the retired words of a line; parts of names in snake_case count."""
    if line.strip() in RIGHT:
        return []
    pattern = rf"(?<![A-Za-z])(?:{'|'.join(RETIRED)})(?![A-Za-z])"
    return [match.group() for match in re.finditer(pattern, line, re.IGNORECASE)]


def names_of(source: str) -> set[str]:
    """Return all names in a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def unexplained_constants(source: str) -> list[str]:
    """Return the numeric constants of a module without docstring or comment."""
    lines, body = source.splitlines(), ast.parse(source).body
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if not isinstance(target, ast.Name) or not target.id.lstrip("_").isupper():
            continue
        if not any(_is_number(part) for part in ast.walk(node.value)):
            continue
        docstring = isinstance(after, ast.Expr) and isinstance(
            after.value, ast.Constant
        )
        own = lines[node.lineno - 1 : node.end_lineno]
        commented = any("#" in line for line in own)
        if not (docstring or commented or _commented_block(lines, node.lineno - 2)):
            found.append(target.id)
    return found


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _commented_block(lines: list[str], above: int) -> bool:
    """Whether a comment begins the block of lines that ends at ``above``."""
    while above >= 0 and lines[above].strip() and not lines[above].startswith("#"):
        if '"""' in lines[above]:
            return False
        above -= 1
    return above >= 0 and lines[above].startswith("#")


@pytest.mark.parametrize("place", [*PACKAGES, "docs", "README.md"])
def test_words_are_those_of_the_field(place: str):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {word}"
        for path in texts_in(place)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for word in retired_in(line)
    ]
    assert not found, "RETIRED has better words"


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_those_of_the_field(package: str):
    pattern = re.compile(rf"(?<![a-z])({RETIRED_NAMES})(?![a-z])")
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts_in(package)
        for name in sorted(names_of(path.read_text("utf-8")))
        if pattern.search(name)
    ]
    assert not found


@pytest.mark.parametrize("package", PACKAGES)
def test_constants_have_a_unit_or_a_reason(package: str):
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts_in(package)
        for name in unexplained_constants(path.read_text("utf-8"))
    ]
    assert not found, "write a docstring below it: its unit, or why it is that"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A = 3\n", ["A"]),
        ('A = 3\n"""Pixels."""\n', []),
        ("A = 3  # pixels\n", []),
        ("# Pixels.\nA = 3\nB = 4\n", []),
        ("# Pixels.\n\nA = 3\n", ["A"]),
        ('A = 3\n"""Pixels."""\nB = 2**4\n', ["B"]),
        ("A: int = 3\nB = (1, 2)\n", ["A", "B"]),
        ('A = "text"\nlower = 3\nC = True\n', []),
    ],
)
def test_a_constant_needs_a_docstring_or_a_comment(source: str, expected: list[str]):
    assert unexplained_constants(source) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("what a model says of it", ["says"]),
        ("def keep_guess(self):", ["guess"]),
        ("Guessing is over", ["Guessing"]),
        ("essays, teachers and space", []),
        ("file.truncate(file.tell() - len(rest))", []),
    ],
)
def test_retired_words_are_found_as_words(line: str, expected: list[str]):
    assert retired_in(line) == expected
