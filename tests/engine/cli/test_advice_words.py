"""Tests that messages name only options that the command which prints them has."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

import unet_engine
from unet_engine.cli.app import SUBCOMMANDS, build_app, with_subcommands

ENGINE = Path(unet_engine.__file__).parent
OPENING = {"predict", "objects", "track", "finetune", "pretrain", "evaluate"}
"""Commands that open images."""

LABELLING = {"objects", "finetune", "evaluate"}
"""Commands that read labels."""

PRINTED_BY = {
    "cli/commands/evaluate.py": {"evaluate"},
    "cli/commands/finetune.py": {"finetune"},
    "cli/commands/finetune_start.py": {"finetune"},
    "cli/commands/object_outlines.py": {"objects"},
    "cli/commands/object_tables.py": {"objects"},
    "cli/commands/objects.py": {"objects"},
    "cli/commands/objects_files.py": {"objects"},
    "cli/commands/objects_search.py": {"objects"},
    "cli/commands/predict.py": {"predict"},
    "cli/commands/pretrain.py": {"pretrain"},
    "cli/commands/training_progress.py": {"finetune", "pretrain"},
    "cli/commands/track.py": {"track"},
    "cli/files/outputs.py": {"predict", "objects", "track"},
    "cli/files/pairing.py": {"finetune", "evaluate"},
    "cli/files/reading.py": {"finetune", "evaluate"},
    "compute/runner.py": {"predict", "evaluate"},
    "model_packages/export.py": {"export"},
    "model_packages/prediction_only.py": {"models import"},
    "images": OPENING,
    "images/labels/choices.py": LABELLING,
    "images/labels/refusals.py": LABELLING,
    "images/labels/rules.py": LABELLING,
    "objects/table.py": {"objects"},
    "cli/commands/worker.py": {"worker"},
    "remote/credentials.py": {"worker"},
    "worker/serving.py": {"worker"},
    "prediction/disk_output.py": {"predict"},
    "prediction/finished_tiles.py": {"predict"},
    "prediction/scale.py": {"predict", "evaluate"},
}
"""Which commands print the messages of a module or package."""

OF_ANOTHER_COMMAND = r"\b(objects|predict|finetune|pretrain|evaluate) (--[a-z-]+)"
ONLY_THERE = {
    # The wording of the others is their own.
    ("images/labels/choices.py", "--classes"): {"finetune"},
    ("cli/commands/models_commands.py", "--without-crops"): {"models export"},
    ("cli/commands/models_commands.py", "--notes"): {"models note"},
    ("cli/commands/models_commands.py", "--licence"): {"models note"},
    ("cli/commands/models_commands.py", "--name"): {"models import"},
    ("model_packages/export.py", "--licence"): {"models note"},
}
OF_MODELS = {f"models {name}" for name in SUBCOMMANDS["models"]}


@cache
def options_of(command: str) -> dict[str, tuple[str, ...]]:
    """Return the choices of each option of a command."""
    app, (name, *below) = build_app(), command.split()
    app = with_subcommands(app, name)
    for word in below:
        app = app[word]
    arguments = app.assemble_argument_collection()
    choices = {
        name: argument.get_choices() or ()
        for argument in arguments
        for name in argument.names
    }
    return {"--help": (), **choices}


def texts(path: Path) -> list[str]:
    """Return the strings of a module that may be printed, with {} for what varies."""
    tree = ast.parse(path.read_text("utf-8"))
    parts = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    documented = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append(
                "".join(
                    str(p.value) if isinstance(p, ast.Constant) else "{}"
                    for p in node.values
                )
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in parts | documented
        ):
            found.append(node.value)
    return found


def named() -> list[tuple[str, str, str]]:
    """Return module, option and text of each message that names an option."""
    return [
        (str(path.relative_to(ENGINE).as_posix()), option, text)
        for path in sorted(ENGINE.rglob("*.py"))
        for text in texts(path)
        # Declarations of options are no messages.
        if not text.startswith("--") or " " in text
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)
    ]


NAMED = named()


def test_the_modules_that_print_are_there():
    assert not [place for place in PRINTED_BY if not (ENGINE / place).exists()]


def test_messages_that_name_options_are_found():
    assert len(NAMED) > 40
    assert {"--axes", "--missing-chunks", "--overwrite"} <= {o for _, o, _ in NAMED}


@pytest.mark.parametrize(
    ("module", "option", "text"), NAMED, ids=lambda value: value[:40]
)
def test_the_commands_that_print_a_message_have_the_options_it_names(
    module: str, option: str, text: str
):
    places = [module, *(parent.as_posix() for parent in PurePosixPath(module).parents)]
    known = next((PRINTED_BY[place] for place in places if place in PRINTED_BY), None)
    if known is None:
        # The command that prints it is not recorded; one at least can be followed.
        known = {next((c for c in sorted(OPENING) if option in options_of(c)), "demo")}
    commands = ONLY_THERE.get((module, option), known)
    others = {o: command for command, o in re.findall(OF_ANOTHER_COMMAND, text)}
    for command in {others[option]} if option in others else commands:
        assert option in options_of(command), f"{command}: {text}"


@pytest.mark.parametrize(
    ("module", "option", "text"), NAMED, ids=lambda value: value[:40]
)
def test_the_values_that_a_message_names_are_choices_of_the_option(
    module: str, option: str, text: str
):
    choices = next(
        (
            o[option]
            for o in map(options_of, sorted(OPENING | OF_MODELS | {"export", "worker"}))
            if option in o
        ),
        None,
    )
    assert choices is not None
    for value in re.findall(rf"{option}[ =]([a-z]+(?:-[a-z]+)*)\b", text):
        if choices and value != "out":
            assert value in choices, text
