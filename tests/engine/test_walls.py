"""The walls between the packages, seen from a fresh interpreter."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from textwrap import dedent

import unet_engine

ENGINE = Path(unet_engine.__file__).parent

LIGHT = (
    "errors",
    "llvm",
    "events",
    "config",
    "disk_results",
    "spec",
    "tiling",
    "images",
    "instances",
    "annotations",
    "checkpoint",
    "store",
    "strokes.store",
    "synthetic",
    "procedural",
    "writing",
)


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WALK = """
    import importlib, pkgutil, sys

    def import_all(name):
        package = importlib.import_module(name)
        found = [name]
        for module in pkgutil.walk_packages(package.__path__, name + "."):
            importlib.import_module(module.name)
            found.append(module.name)
        return found
"""


def test_the_engine_imports_without_napari_and_qt():
    blocked = ("napari", "napari_unet", "qtpy", "PyQt5", "PyQt6", "magicgui", "superqt")
    printed = run(
        WALK
        + f"""
    for name in {blocked}:
        sys.modules[name] = None  # importing it raises ImportError
    found = import_all("unet_engine")
    print(len(found), "unet_engine.networks.unet" in found)
    """
    )
    count, networks = printed.split()
    assert int(count) > 12
    assert networks == "True"


def test_light_modules_import_no_torch():
    printed = run(
        f"""
        import importlib, sys
        for name in {LIGHT}:
            importlib.import_module("unet_engine." + name)
            print(name, "torch" in sys.modules, "napari" in sys.modules)
        """
    )
    assert printed.splitlines() == [f"{name} False False" for name in LIGHT]


def test_the_plugin_imports_no_torch():
    printed = run(
        WALK
        + """
    found = import_all("napari_unet")
    print(len(found), "torch" in sys.modules, "torchvision" in sys.modules)
    """
    )
    count, torch, torchvision = printed.split()
    assert int(count) > 3
    assert (torch, torchvision) == ("False", "False")


def module_name(path: Path) -> str:
    """Return the dotted name of a file of the engine."""
    parts = path.relative_to(ENGINE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Return the modules among ``modules`` that a file imports, type checking aside."""
    found = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & modules
            found.update(inner or {node.module})
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        nodes.extend(ast.iter_child_nodes(node))
    return found & modules


def test_arrows_point_one_way_and_nobody_imports_the_command_line():
    paths = sorted(ENGINE.rglob("*.py"))
    modules = {module_name(path) for path in paths}
    graph = {module_name(path): imports_of(path, modules) for path in paths}
    # A cycle raises CycleError, which names it.
    order = tuple(TopologicalSorter(graph).static_order())
    assert order.index("unet_engine.errors") < order.index("unet_engine.store")
    for module, imported in graph.items():
        if not module.startswith("unet_engine.cli"):
            assert not [i for i in imported if i.startswith("unet_engine.cli")], module
