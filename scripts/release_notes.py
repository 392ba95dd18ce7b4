"""Print what CHANGELOG.md has on a version: ``scripts/release_notes.py 0.2.0``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(changelog: str, version: str) -> str:
    """Return the text below the heading of a version.

    Raises
    ------
    ValueError
        When there is no such heading, or nothing below it.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## \[|^\[|\Z)", changelog, re.M | re.S)
    if found is None or not found[1].strip():
        raise ValueError(
            f"CHANGELOG.md has nothing on {version}; move what is under [Unreleased] "
            f"below the heading '## [{version}] - YYYY-MM-DD'"
        )
    return found[1].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(notes(CHANGELOG.read_text("utf-8"), sys.argv[1]))
    except ValueError as error:
        sys.exit(f"release_notes: {error}")
