"""What is installed with the package: no napari and no Qt binding but by an extra."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from required import BINDINGS, ROOT, installed_with, of_this_project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def imported(package: Path) -> Iterator[str]:
    """Yield the top-level modules that the files of a package import anywhere."""
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def distributions_of(modules: Iterable[str]) -> set[str]:
    known = packages_distributions()
    ours = {"unet_engine", "napari_unet", "napari_unet_resources"}
    others = set(modules) - ours - sys.stdlib_module_names
    return {canonicalize_name(known[m][0]) if m in known else m for m in others}


def test_the_package_brings_neither_napari_nor_a_qt_binding() -> None:
    names = installed_with()
    assert {"torch", "numpy", "magicgui", "superqt"} <= names
    assert not names & (BINDINGS | {"napari"})


@pytest.mark.parametrize("binding", ["pyqt5", "pyqt6"])
def test_an_extra_names_the_binding_and_brings_napari(binding: str) -> None:
    try:
        names = installed_with(binding)
    except PackageNotFoundError:
        pytest.skip(f"{binding} is tested where it is installed")
    assert "napari" in names
    assert names & BINDINGS == {binding}


@pytest.mark.slow
def test_what_the_engine_imports_is_required() -> None:
    extras = ["bioimageio", "bioio", "distributed", "geff", "parquet", "remote"]
    direct = {canonicalize_name(r.name) for r in of_this_project(extras)}
    # zarr is required, and what its codecs are made with is part of its interface.
    needed = distributions_of(imported(ROOT / "src"))
    assert not sorted(needed - direct - {"numcodecs", "geff-spec", "geff_spec"})


@pytest.mark.slow
def test_what_the_plugin_imports_comes_with_the_package_or_with_napari() -> None:
    needed = distributions_of(imported(ROOT / "napari_unet"))
    assert not sorted(needed - installed_with("napari"))
