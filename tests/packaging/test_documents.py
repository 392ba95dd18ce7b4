"""The documents: their links lead somewhere, their commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from unet_engine.cli.app import parse_command

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMANDS = sorted(
    {
        line
        for document in DOCUMENTS
        for line in re.findall(r"^napari-unet .*$", document.read_text("utf-8"), re.M)
    }
)


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    missing = [name for name in local if not (document.parent / name).exists()]
    assert not missing


def test_there_are_commands_to_check() -> None:
    assert {"predict", "finetune", "evaluate", "models"} <= {
        command.split()[1] for command in COMMANDS
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    parse_command(shlex.split(command)[1:])


def test_scripts_in_the_documents_exist() -> None:
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"\bscripts/[a-z._-]+[a-z]", document.read_text("utf-8"))
    }
    assert named >= {"scripts/setup", "scripts/demo", "scripts/test", "scripts/docs"}
    assert not [name for name in named if not (ROOT / name).exists()]


def test_places_that_the_guide_for_contributors_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    folders = r"(?:src|napari_unet|tests|scripts|docs|benchmarks|resources|\.github)"
    named = set(re.findall(rf"`({folders}/[\w./-]*)`", text))
    assert len(named) > 8
    assert not sorted(name for name in named if not (ROOT / name).exists())


def test_tests_that_the_table_of_files_names_exist() -> None:
    text = (ROOT / "docs" / "files.md").read_text("utf-8")
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    code = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    there = set(re.findall(r"^ *def (test_[a-z0-9_]+)\(", "\n".join(code), re.M))
    assert len(named) > 20
    assert not sorted(named - there)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    claims = [row for row in rows if row[-1] != "test |"]
    assert len(claims) > 50
    # What is read, what happens, by which tests.
    wrong = [r for r in claims if len(r) != 3 or not re.search("`test_", r[2])]
    assert not wrong
