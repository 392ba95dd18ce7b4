"""What messages of the window name is in the window, and what they advise works."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QGroupBox,
    QLabel,
    QMenu,
    QToolButton,
)

import napari_unet
import unet_engine
from napari_unet.steps.predict.section import _DENOISE

if TYPE_CHECKING:
    from conftest import Docked

PLUGIN = Path(napari_unet.__file__).parent
ENGINE = Path(unet_engine.__file__).parent


def messages() -> list[str]:
    """Return the strings of the plugin, with {} for what varies.

    Of the engine those that name settings of the window.
    """
    found = [
        node.value.value
        for path in sorted(ENGINE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "window"
        if isinstance(node.value, ast.Constant)
    ]
    for path in sorted(PLUGIN.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        parts = {
            part
            for node in nodes
            for part in (
                node.values
                if isinstance(node, ast.JoinedStr)
                # Of documentation there is more than of messages.
                else [node.value]
                if isinstance(node, ast.Expr)
                else ()
            )
        }
        for node in nodes:
            if node in parts:
                continue
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(
                        str(p.value) if isinstance(p, ast.Constant) else "{}"
                        for p in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return [text for text in found if " " in text]


NAME = r"[A-Z][\w-]*(?: (?:\w+))*"
PATTERNS = {
    "chosen": rf"\b({NAME}…)",
    "pressed": r"\b[Pp]ress ([A-Z][\w-]*(?: again)?)",
    "under": r"\bunder ([A-Z]\w*(?: settings)?)",
    "menu": r"\bthe (…) menu",
    "step": r"\b(step \d)\b",
    "method": r"\bthe method (\w+)",
    "row": r"\bwith the (label values) ",
}
NAMED = sorted(
    {
        (kind, name, text)
        for text in messages()
        for kind, pattern in PATTERNS.items()
        for name in re.findall(pattern, text)
        # The texts of buttons themselves, and what only reports progress.
        if kind != "chosen" or not text.endswith(name)
    }
)


@pytest.fixture
def texts(dock: Docked) -> set[str]:
    """Return all that can be read and chosen in the dock."""
    widget = dock.widget
    found = {b.text() for b in widget.findChildren(QAbstractButton)}
    # With a model that restores images the button Predict has another text.
    found.add(_DENOISE[0])
    found |= {b.title() for b in widget.findChildren(QGroupBox)}
    found |= {label.text() for label in widget.findChildren(QLabel)}
    menus = [b.menu() for b in widget.findChildren(QToolButton) if b.menu()]
    for menu in [*menus, *widget.findChildren(QMenu)]:
        found |= {action.text() for action in menu.actions()}
    for box in widget.findChildren(QComboBox):
        found |= {box.itemText(i) for i in range(box.count())}
    found |= {re.sub(r"^(\d) .*", r"step \1", text) for text in found}
    return {text.replace("&", "").casefold() for text in found}


def test_messages_name_parts_of_the_window() -> None:
    assert {kind for kind, *_ in NAMED} == set(PATTERNS)


def test_all_that_messages_name_is_in_the_dock(texts: set[str]) -> None:
    missing = [(name, text) for _, name, text in NAMED if name.casefold() not in texts]
    assert not missing, sorted(texts)


@pytest.mark.slow
def test_messages_of_the_window_name_no_option_of_a_command() -> None:
    # ``scripts/demo`` has one.
    options = {o for t in messages() for o in re.findall(r"(?<![\w-])--[a-z-]+", t)}
    assert options <= {"--screenshot"}


OF_COMMANDS = (
    "cli/",
    "worker/",
    # Which writes commands.
    "scripting/",
    # Files that the window reads by napari's readers, and those that it never writes.
    "images/tiff/",
    "images/zarr/",
    "images/vendor.py",
    "images/colours.py",
    "images/pixel_size.py",
    "objects/table.py",
    "prediction/disk_",
    "prediction/finished_tiles.py",
    # Packages for other programs are written by a command alone.
    "model_packages/",
    # Choices have a ``Wording`` for either; strokes of files are those of a command.
    "images/labels/choices.py",
    "training/data/saved_strokes.py",
)
"""Parts of the engine whose messages never come into the window."""


def options_in_messages(code: str) -> list[str]:
    """Return the options in strings, but those that have a name in the window too."""
    tree = ast.parse(code)
    left_out = {
        part
        for node in ast.walk(tree)
        for part in (
            ast.walk(node)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting"
            else ast.walk(node)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            else ()
        )
    }
    return [
        option
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node not in left_out
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", node.value)
    ]


def test_options_are_told_from_controls() -> None:
    code = '"""Of --this."""\nsetting(command="--size 3", window="Size")\n'
    assert not options_in_messages(code)
    assert options_in_messages("x = f'use {y} or --size 3'") == ["--size"]


@pytest.mark.slow
def test_messages_of_the_engine_name_controls_in_the_window() -> None:
    paths = {path.relative_to(ENGINE).as_posix(): path for path in ENGINE.rglob("*.py")}
    assert {n for n in OF_COMMANDS if any(p.startswith(n) for p in paths)} == set(
        OF_COMMANDS
    )
    found = {
        name: options
        for name, path in paths.items()
        if not name.startswith(OF_COMMANDS)
        and (options := options_in_messages(path.read_text("utf-8")))
    }
    assert not found


@pytest.mark.slow
def test_the_line_on_the_size_names_its_control(
    dock: Docked, plane: Any, add_model: Any
) -> None:
    add_model("sized", object_size_px=20.0, pixel_size_um=0.5)
    dock.widget.select_model("sized")
    dock.viewer.add_image(plane, name="cells")
    row = dock.widget.predict.form.object_size
    row.choice.setCurrentIndex(row.choice.findData("px"))
    row.pixels.setValue(500.0)
    refused = dock.widget.predict.text.text()
    assert "no object of 500 pixels fits" in refused
    assert "(Object size px)" in refused
    row.pixels.setValue(30.0)
    assert "fits" not in dock.widget.predict.text.text()
    row.choice.setCurrentIndex(row.choice.findData("pixel-size"))
    refused = dock.widget.predict.text.text()
    assert "layer.scale = (0.5, 0.5) and layer.units = ('um', 'um')" in refused
    assert "--" not in refused
    layer = dock.viewer.layers["cells"]
    layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    dock.widget.predict.form.reset_choices()
    dock.predict()
    assert dock.mask is not None


def test_the_line_on_channels_names_what_napari_has(dock: Docked, plane: Any) -> None:
    data = np.stack([plane] * 2)
    dock.viewer.add_image(data, axis_labels=("c", "y", "x"))
    refused = dock.widget.predict.text.text()
    assert "Split Stack in the menu of the layer" in refused
    assert "--channel" not in refused


LEARNED = "info: The new model tiny-ft predicts now."


def train(dock: Docked) -> None:
    dock.be_quick()
    dock.widget.fine_tune.train.click()
    dock.wait()
    dock.wait()


def paint(dock: Docked, name: str, at: int) -> None:
    dock.mask.paint((at, at), dock.widget.workspace.classes.index(name))


@pytest.mark.slow
def test_painting_as_advised_makes_it_learn(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane)
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 12
    train(dock)
    (first, second) = re.search(r"such as (\w+) and (\w+)", notices[-1]).groups()
    paint(dock, second, 30)
    train(dock)
    assert f"only '{second}' is touched" in notices[-1]
    assert "another class" in notices[-1]
    paint(dock, first, 80)
    train(dock)
    assert notices[-1] == LEARNED


@pytest.mark.parametrize("way", ["no", "noise"])
def test_a_model_that_can_be_trained_is_where_the_message_points(
    dock: Docked, plane: Any, notices: list[str], add_model: Any, way: str
) -> None:
    dock.viewer.add_image(plane)
    add_model("eyes", architecture="autoencoder", classes=())
    dock.widget.workspace.refresh_models()
    if way == "no":
        dock.widget.workspace.choose_model(None)
    else:
        dock.widget.select_model("eyes")
    dock.widget.fine_tune.train.click()
    picker = dock.widget.predict.form.picker
    if way == "noise":
        assert "with the button in step 1" in notices[-1]
        assert not picker.restart.isHidden()
        picker.restart.click()


@pytest.mark.slow
@pytest.mark.parametrize("values", ["objects", "mask", "classes"])
def test_adding_labels_again_as_advised_makes_it_learn(
    dock: Docked, plane: Any, notices: list[str], values: str
) -> None:
    dock.viewer.add_image(plane, name="cells")
    labels = (plane > 100).astype(np.uint8) * 40
    if values == "classes":
        labels = np.zeros_like(labels)
        labels[5:25, 5:25], labels[60:90, 40:70] = 1, 2
    pairs = dock.widget.fine_tune.pairs
    pairs.labels.value = dock.viewer.add_labels(labels, name="truth")
    pairs.image.value = dock.viewer.layers["cells"]
    pairs.add_pair()
    train(dock)
    advised = re.findall(r"add it again with the label values (\w+)", notices[-1])
    assert values in advised
    dock.widget.workspace.remove_pair(dock.widget.workspace.pairs[0])
    pairs.label_values.value = values
    pairs.add_pair()
    train(dock)
    if values == "classes":
        assert "or add the missing classes in step 2" in notices[-1]
        dock.widget.correct.add_class("third")
        train(dock)
    assert notices[-1] == LEARNED


@pytest.mark.slow
def test_objects_are_kept_once_they_were_separated(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane)
    dock.predict()
    dock.mask.data[20:50, 20:50] = 1
    objects = dock.widget.objects
    objects.form.method.value = "keep"
    objects.start()
    dock.wait()
    assert "choose another method and separate the objects first" in notices[-1]
    notices.clear()
    for method in "components", "keep":
        objects.form.method.value = method
        objects.start()
        dock.wait()
    assert not notices
