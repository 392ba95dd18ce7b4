"""Which distributions the requirements of the project bring, by their metadata."""

from __future__ import annotations

import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6", "pyside6-essentials"}


def of_this_project(extras: Iterable[str]) -> list[Requirement]:
    """Return what pyproject.toml requires, that of its extras in their place."""
    lines = [
        *PROJECT["dependencies"],
        *(line for name in extras for line in EXTRAS[name]),
    ]
    found = []
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            found += of_this_project(requirement.extras)
        else:
            found.append(requirement)
    return found


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras))


def installed_with(*extras: str) -> set[str]:
    """Return the distributions that pip installs with the package and extras."""
    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = of_this_project(extras)
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        wanted = name, frozenset(requirement.extras)
        if wanted in seen or not applies(requirement, ()):
            continue
        seen.add(wanted)
        names.add(name)
        required = map(Requirement, requires(name) or [])
        further = [r for r in required if applies(r, requirement.extras)]
        # Its marker has been evaluated, with the extras that it was required with.
        for each in further:
            each.marker = None
        queue += further
    return names
