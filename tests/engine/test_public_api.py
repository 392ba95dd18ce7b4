"""``unet_engine`` exports what a script needs, and imports it when it is first used."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unet_engine

STUB = Path(unet_engine.__file__).with_suffix(".pyi")
EXPORTS = {name: getattr(unet_engine, name) for name in unet_engine.__all__}
FUNCTIONS = sorted(
    name
    for name in unet_engine.__all__
    if inspect.isfunction(getattr(unet_engine, name))
)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, unet_engine; from unet_engine import EngineError, open_image; "
        "print('torch' in sys.modules, callable(open_image), "
        "issubclass(EngineError, Exception))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True", "True"]


def test_the_names_are_those_that_type_checkers_see() -> None:
    tree = ast.parse(STUB.read_text("utf-8"))
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    declared = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
    )
    assert len(declared) > 30
    assert set(declared) == imported == set(unet_engine.__all__)
    assert set(dir(unet_engine)) == imported


@pytest.mark.parametrize("name", unet_engine.__all__)
def test_each_name_is_there_and_documented(name: str) -> None:
    value = getattr(unet_engine, name)
    if callable(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_document_all_their_parameters(name: str) -> None:
    documented = _documented(name)
    if name.startswith("iter_"):
        # Only what the function without the prefix does not have.
        documented |= _documented(name.removeprefix("iter_"))
        documented |= set(re.findall(r"``(\w+)``", inspect.getdoc(EXPORTS[name]) or ""))
    assert set(inspect.signature(EXPORTS[name]).parameters) <= documented


def _documented(name: str) -> set[str]:
    text = inspect.getdoc(EXPORTS[name]) or ""
    parameters = text.partition("Parameters\n----------\n")[2]
    return {
        part.strip()
        for line in parameters.splitlines()
        if line and not line.startswith(" ")
        for part in line.split(",")
    }


@pytest.mark.parametrize("name", unet_engine.__all__)
def test_examples_in_docstrings_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    value = EXPORTS[name]
    for example in doctest.DocTestFinder(recurse=False).find(value, name, globs={}):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
        assert runner.run(example).failed == 0


def test_the_functions_that_make_the_loop_have_examples() -> None:
    made = {name for name in FUNCTIONS if ">>> " in (EXPORTS[name].__doc__ or "")}
    assert made >= {"label_objects", "measure_objects", "open_image", "predict"}
