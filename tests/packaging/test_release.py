"""A release: its notes, and the version of a checkout, a clone and an archive."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def release_notes(version: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "release_notes.py"), version]
    return subprocess.run(script, capture_output=True, text=True, check=False)


def test_the_notes_of_a_version_are_its_part_of_the_changelog() -> None:
    done = release_notes("0.1.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The first version.")
    assert "## [" not in done.stdout
    assert "compare/" not in done.stdout
    assert done.stdout.strip() in CHANGELOG


def test_a_version_without_notes_is_refused() -> None:
    done = release_notes("9.9.9")
    assert done.returncode == 1
    assert "move what is under [Unreleased]" in done.stderr


def test_each_version_in_the_changelog_has_a_link() -> None:
    versions = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.M)
    links = re.findall(r"^\[(.+?)\]: https://", CHANGELOG, re.M)
    assert versions[0] == "Unreleased"
    assert versions == links


def git(folder: Path, *command: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def version(folder: Path) -> str:
    """Return the version that a build from the folder would have."""
    build = [sys.executable, "-W", "ignore", "-m", "hatchling", "version"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a repository of one commit, with all that decides on the version."""
    if not (ROOT / ".gitattributes").exists():
        pytest.skip("a source archive of the package is no checkout")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in "pyproject.toml", ".gitattributes", ".git_archival.txt", "README.md":
        shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Begin")
    return folder


def archive(checkout: Path, folder: Path) -> Path:
    """Return an unpacked source archive, as git and GitHub make them."""
    git(checkout, "archive", f"--output={folder / 'source.tar'}", "HEAD")
    with tarfile.open(folder / "source.tar") as packed:
        packed.extractall(folder / "source", filter="data")
    return folder / "source"


@pytest.mark.slow
def test_the_version_is_that_of_the_tag(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "tag", "v0.2.0")
    assert version(checkout) == "0.2.0"
    assert version(archive(checkout, tmp_path)) == "0.2.0"


def test_a_commit_after_the_tag_comes_before_the_next_version(checkout: Path) -> None:
    git(checkout, "tag", "v0.2.0")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=Go on")
    assert version(checkout).startswith("0.2.1.dev1+g")


def test_a_clone_without_tags_has_a_version(checkout: Path) -> None:
    assert version(checkout).startswith("0.1.0.dev1+g")


def test_a_shallow_clone_has_a_version(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=Go on")
    git(tmp_path, "clone", "--quiet", "--depth=1", checkout.as_uri(), "shallow")
    assert version(tmp_path / "shallow").startswith("0.1.0.dev1+g")


def test_a_copy_without_git_has_the_fallback(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    assert version(checkout) == "0.1.0.dev0"
