"""The private names of napari that the plugin uses are there, and are all listed."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.version import Version

import napari_unet
from napari_unet.viewer import private
from napari_unet.viewer.private import NAMES, PrivateName

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = Path(napari_unet.__file__).parent
NAPARI = Version(version("napari"))


def release(text: str) -> Version:
    return Version(".".join(text.split(".")[:2]))


def is_expected(name: PrivateName, napari: Version) -> bool:
    minor = release(napari.base_version)
    return not (
        (name.since and minor < release(name.since))
        or (name.until and minor > release(name.until))
    )


def owners_in(viewer: Any) -> dict[str, Any]:
    """What has the names, in a viewer with a window, which gets a layer."""
    layer = viewer.add_labels(np.zeros((8, 8), np.uint8))
    return {
        "window": viewer.window,
        "main window": viewer.window._qt_window,
        "canvas": viewer.window._qt_viewer.canvas,
        "viewer": viewer,
        "labels": layer,
    }


def test_napari_has_the_private_names_that_are_used(make_napari_viewer: Any):
    owners = owners_in(make_napari_viewer())
    expected = [name for name in NAMES if is_expected(name, NAPARI)]
    missing = [
        f"{name.name} of {name.owner} ({name.why})"
        for name in expected
        if not hasattr(owners[name.owner], name.name)
    ]
    assert not missing, (
        f"napari {NAPARI} has no {'; no '.join(missing)}: see napari_unet/viewer/"
        "private.py, which lists what each is used for and in which napari it is"
    )
    assert len(expected) > 10


def test_the_kinds_of_the_private_names_are_those_that_are_used(
    make_napari_viewer: Any,
):
    owners = owners_in(make_napari_viewer())
    layer, window = owners["labels"], owners["main window"]
    assert private.is_drawn_on(layer) is False
    assert private.is_encircling(layer) is False
    assert private.history_limit(layer) > 1
    assert list(private.undo_history(layer)) == list(private.redo_history(layer)) == []
    layer.paint((4, 4), 1)
    assert len(private.undo_history(layer)) == 1
    layer.undo()
    assert len(private.redo_history(layer)) == 1
    private.reset_history(layer)
    assert not private.redo_history(layer)
    assert private.painted_axes(layer) == [0, 1]
    assert private.quits_application(window) is False
    assert {True, False} <= set(window._is_close_dialog), "has both"
    assert private.grid_box_corners(owners["viewer"]).shape[1] == 2
    assert len(private.canvas_size(owners["viewer"])) == 2


@pytest.mark.parametrize(
    ("napari", "expected"), [("0.6.2", True), ("0.8.0", True), ("0.9.2", False)]
)
def test_a_name_is_expected_where_the_table_has_it(napari: str, expected: bool):
    (size,) = (name for name in NAMES if name.name == "_canvas_size")
    assert is_expected(size, Version(napari)) is expected


def is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def accesses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that are read or set of anything but ``self`` and ``cls``."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name) if not is_own(owner):
                yield node.lineno, name
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr" | "delattr"),
                args=[owner, ast.Constant(value=name), *_],
            ) if not is_own(owner):
                yield node.lineno, name


def own_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=owner, attr=name, ctx=ast.Store()) if is_own(
                owner
            ):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_private_names_of_napari_are_touched_in_one_module_only():
    trees = {path: ast.parse(path.read_text()) for path in PLUGIN.rglob("*.py")}
    listed = trees.pop(PLUGIN / "viewer" / "private.py")
    own = {name for tree in trees.values() for name in own_names(tree)}
    elsewhere = [
        f"{path.relative_to(PLUGIN)}:{line} {name}"
        for path, tree in trees.items()
        for line, name in accesses(tree)
        if is_private(name) and name not in own
    ]
    assert not elsewhere, "move these into napari_unet/viewer/private.py"
    used = {name for _, name in accesses(listed) if is_private(name)}
    assert used == {name.name for name in NAMES}
