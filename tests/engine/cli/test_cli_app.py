"""What belongs to every command: help, wrong usage, tracebacks, completion."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.cli.app import COMMANDS, parse_command

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTED = [name for name in COMMANDS if name != "demo"]
"""The demo has the help of the plugin."""


def examples_in(shown: str) -> list[str]:
    _, _, below = shown.partition("Examples:")
    return [line.strip() for line in below.splitlines() if line.strip()]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_help_of_a_command_has_examples_that_are_understood(
    name: str, capsys: pytest.CaptureFixture
):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    examples = examples_in(capsys.readouterr().out)
    assert examples
    for example in examples:
        program, *arguments = shlex.split(example.partition(" > ")[0])
        assert (program, arguments[0]) == ("napari-unet", name), "an example is cut"
        command, _ = parse_command(arguments)
        assert command.__module__ == f"unet_engine.cli.commands.{name}"


def test_everyday_options_stand_before_those_for_experts(
    capsys: pytest.CaptureFixture,
):
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    everyday, _, expert = capsys.readouterr().out.partition("Expert settings:")
    for option in "--images", "--out", "--from", "--minutes", "--device":
        assert f" {option} " in everyday
    for option in "--learning-rate", "--crop", "--seed":
        assert f" {option} " in expert


def test_the_list_of_commands_loads_none_of_them():
    code = (
        "import sys; from unet_engine.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {'torch', 'zarr', 'unet_engine.images'} & set(sys.modules)\n"
        "print(sorted(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    *shown, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    order = [line.split()[0] for line in shown if line.startswith("  ")]
    assert order[: len(COMMANDS)] == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "phrase", "see"),
    [
        ([], "no command is given", "see napari-unet --help"),
        (["predic"], 'Unknown command "predic"', "see napari-unet --help"),
        (
            ["predict", "a", "--til=3"],
            "Did you mean --tile?",
            "See napari-unet predict",
        ),
        (["predict", "a", "--tile"], "--tile requires", "see napari-unet predict"),
        (["predict", "a", "--tile=x"], '"x" into int', "see napari-unet predict"),
        (["predict", "a", "--halo=no"], '"exact"', "see napari-unet predict"),
        (["models", "a"], "['a']", "see napari-unet models --help"),
        (["objects", "a", "--scale=0"], "like 0.5", "see napari-unet objects"),
    ],
)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture, arguments: list[str], phrase: str, see: str
):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("napari-unet: error: ")
    assert phrase in line
    assert see in line


def test_of_an_option_that_is_given_twice_the_last_one_counts():
    def meaning(*words: str) -> str:
        _, values = parse_command(["objects", "a.tif", *words])
        values.apply_defaults()
        return values.arguments["options"].meaning

    assert meaning() == "auto"
    assert meaning("--instances") == "objects"
    assert meaning("--label-values=mask", "--instances") == "objects"
    assert meaning("--instances", "--label-values=mask") == "mask"
    _, values = parse_command(
        ["objects", "a", "--scale=1", "--scale=2,3", "--min-size=1", "--min-size=2"]
    )
    assert values.arguments["options"].scale == (2, 3)
    assert values.arguments["settings"] == {"min_size": 2}


def test_names_that_look_like_json_are_names():
    _, values = parse_command(["predict", "[a,b].tif", '{"a": 1}', "--output=[1]"])
    assert [str(path) for path in values.args] == ["[a,b].tif", '{"a": 1}']
    assert str(values.arguments["options"].output) == "[1]"


def test_a_traceback_is_printed_for_those_who_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    missing = ["predict", str(tmp_path / "a.tif"), str(tmp_path / "m.tif")]
    assert main(missing) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main([*missing, "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "FileNotFoundError" in shown
    # Of several files, each that fails has one, and the rest goes on.
    (tmp_path / "masks").mkdir()
    for name in "b.tif", "c.tif":
        (tmp_path / "masks" / name).write_text("no image")
    tifffile.imwrite(tmp_path / "masks" / "a.tif", np.eye(9, dtype=np.uint8))
    several = ["objects", str(tmp_path / "masks"), "-o", str(tmp_path / "ids")]
    assert main([*several, "--debug"]) == 1
    assert capsys.readouterr().err.count("Traceback") >= 3
    assert main([*several, "--overwrite"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert (tmp_path / "ids" / "a.tif").is_file()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_shell_gets_a_script_that_knows_commands_and_options(
    capsys: pytest.CaptureFixture, shell: str
):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "missing-chunks", "instances", "watershed"):
        assert word in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_after_installing(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert main(["completion", "bash", "--install"]) == 0
    place = capsys.readouterr().out.split(" is written")[0]
    assert place in (tmp_path / ".bashrc").read_text()

    def completed(*words: str) -> list[str]:
        line = " ".join(map(shlex.quote, words))
        code = (
            f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _napari_unet; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", f". {shlex.quote(place)}; {code}"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    assert completed("napari-unet", "pre") == ["predict", "pretrain"]
    assert completed("napari-unet", "predict", "--prec") == ["--precision"]
    assert set(completed("napari-unet", "objects", "--method", "")) == {
        "watershed",
        "components",
        "keep",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a.tif", "b.tif", "--channel=0.6"],
        ["predict", "a.tif", "b.tif", "--tile=64.5"],
        ["objects", "a.tif", "-o=b.tif", "--min-size=1.5"],
        ["objects", "a.tif", "-o=b.tif", "--boundary=1.4"],
        ["finetune", "--images=a", "--labels=b", "--out=c", "--steps=1.5"],
        ["finetune", "--images=a", "--labels=b", "--out=c", "--width=4.5"],
        ["pretrain", "a", "--out=c", "--depth=2.5"],
    ],
)
def test_a_whole_number_is_never_rounded(arguments, capsys):
    """A channel that nobody chose would be predicted."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    value = arguments[-1].split("=")[1]
    assert ended.value.code == 2
    assert f'unable to convert "{value}" into int' in capsys.readouterr().err
