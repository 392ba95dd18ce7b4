"""``napari-unet models COMMAND``: the rules of the store, in words."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.cli.app import SUBCOMMANDS, parse_command
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


def models(*words: str) -> int:
    return main(["models", *words])


@pytest.mark.parametrize("name", SUBCOMMANDS["models"])
def test_the_help_of_each_has_examples_that_are_understood(
    name: str, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit):
        models(name, "--help")
    _, _, below = capsys.readouterr().out.partition("Examples:")
    examples = [shlex.split(line) for line in below.splitlines() if line.strip()]
    assert examples
    for program, *arguments in examples:
        assert (program, *arguments[:2]) == ("napari-unet", "models", name)
        command, _ = parse_command(arguments)
        assert command.__name__ == f"run_{name}"


def test_list_is_what_models_alone_prints(
    model: Checkpoint, capsys: pytest.CaptureFixture
):
    assert models("--json") == 0
    alone = capsys.readouterr().out
    assert models("list", "--json") == 0
    assert capsys.readouterr().out == alone
    assert "tiny" in [row["name"] for row in json.loads(alone)]


def test_a_day_with_models(
    model: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture
):
    store = ModelStore()
    assert models("duplicate", "tiny", "mine") == 0
    assert models("rename", "mine", "glands 3") == 0
    assert models("note", "glands 3", "--notes", "of mouse 3", "--licence=CC0") == 0
    assert models("export", "glands 3", str(tmp_path / "out.safetensors")) == 0
    printed = capsys.readouterr().out.split()
    assert [name.rpartition("/")[2] for name in printed] == [
        "out.safetensors", "out.notes.json", "out.md",
    ]  # fmt: skip
    assert models("delete", "glands 3", "tiny") == 0
    lines = capsys.readouterr().err.splitlines()
    assert not set(store.names()) & {"glands 3", "tiny"}
    # The advice of the first line undoes it.
    _, _, advice = lines[0].partition("; ")
    assert main(shlex.split(advice.removesuffix(" undoes it"))[1:]) == 0
    assert models("restore", "tiny", "--as", "again") == 0
    assert {"glands 3", "again"} < set(store.names())
    capsys.readouterr()
    assert models("import", str(tmp_path / "out.safetensors"), "--name=got") == 0
    assert models("show", "got", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["notes"], shown["licence"]) == ("of mouse 3", "CC0")


def test_show_states_why_a_model_cannot_be_used(
    model: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture
):
    two = tmp_path / "two.tif"
    tifffile.imwrite(two, np.zeros((2, 40, 40), np.uint8), metadata={"axes": "CYX"})
    assert models("show", "nuclei", "--for", str(two)) == 0
    assert "on two.tif" in (shown := capsys.readouterr().out)
    assert "--channel 0" in shown
    assert models("show", "nuclei", "--for", str(two), "--channel", "0") == 0
    assert "it can be used" in capsys.readouterr().out


def test_models_are_compared_on_an_image(
    model: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture
):
    path = tmp_path / "image.tif"
    pixels = np.random.default_rng(0).integers(0, 99, (40, 40)).astype(np.uint8)
    tifffile.imwrite(path, pixels)
    assert models("duplicate", "tiny", "copy") == 0
    assert models("compare", "tiny", "copy", "--on", str(path)) == 0
    shown = capsys.readouterr().out
    assert "image.tif: the same class in 100.0% of the pixels" in shown
    assert models("compare", "tiny", "general", "--on", str(tmp_path / "no.tif")) == 1


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["rename", "nuclei", "mine"], "duplicate it"),
        (["rename", "tiny", "general"], "'general-2'"),
        (["delete"], "napari-unet models lists them"),
        (["delete", "none"], "there are: nuclei"),
        (["restore", "none"], "there is no deleted model 'none'"),
        (["note", "tiny"], "give --notes, --licence or both"),
        (["import"], "give the path of a model file"),
        (["import", "a.safetensors", "b.safetensors", "--name=c"], "one by one"),
        (["import", "none.safetensors"], "check the path"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    model: Checkpoint, words: list[str], advice: str, capsys: pytest.CaptureFixture
):
    assert models(*words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert advice in line


def test_a_restore_without_a_name_lists_them(
    model: Checkpoint, capsys: pytest.CaptureFixture
):
    assert models("delete", "tiny") == 0
    capsys.readouterr()
    assert models("restore") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "deleted", "trained", "size"]
    assert row.startswith("tiny")
