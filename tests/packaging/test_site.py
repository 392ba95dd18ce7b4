"""The documentation site: pages that are made, and links that are rewritten."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import unet_engine

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of ``docs/site`` by its name, as MkDocs does."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return __import__(name)

    yield load
    for name in set(sys.modules) - before & {
        "commands",
        "links",
        "model_cards",
        "pages",
    }:
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.slow
def test_the_command_reference_has_the_help_of_every_command(site: Any) -> None:
    commands = site("commands")
    names = commands.command_names()
    assert {"predict", "finetune", "pretrain", "evaluate", "objects"} <= set(names)
    page = commands.commands_sections()
    for name in names:
        assert f"## napari-unet {name}\n" in page
        assert commands.help_text(name) in page
    # Options, so that it is the help and no message.
    assert "--overwrite" in commands.help_text("predict")


def test_a_model_page_has_its_card_and_what_its_file_records(site: Any) -> None:
    card = ROOT / "resources" / "models" / "nuclei.md"
    page = site("model_cards").model_page(card)
    assert page.startswith(card.read_text("utf-8").rstrip())
    raw = card.with_suffix(".safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    metadata = header["__metadata__"]
    assert metadata["digest"] in page
    history = json.loads(metadata["history"])
    assert len(history) > 1
    table = page[page.index("## Recorded in the file") :]
    for training in history:
        assert f"| {training['created'][:10]} |" in table
        assert f"| {training['steps']} |" in table


def _rewritten(site: Any, text: str) -> str:
    def elsewhere(path: str) -> str:
        return f"https://host/{path}"

    result: str = site("links").rewrite_links(
        text,
        source="docs/how-to/images.md",
        page="how-to/images.md",
        pages={
            "docs/files.md": "files.md",
            "README.md#install": "install.md",
            "README.md": "index.md",
            "benchmarks/RESULTS.md": "reference/benchmarks.md",
        },
        elsewhere=elsewhere,
    )
    return result


@pytest.mark.parametrize(
    ("written", "on_the_site"),
    [
        ("[a](../files.md)", "[a](../files.md)"),
        ("[a](../../README.md#install)", "[a](../install.md)"),
        ("[a](../../README.md#cite)", "[a](../index.md#cite)"),
        (
            "[a](../../benchmarks/RESULTS.md#speed)",
            "[a](../reference/benchmarks.md#speed)",
        ),
        ("[a](../../pyproject.toml)", "[a](https://host/pyproject.toml)"),
        ("[a](https://x.org/y.md)", "[a](https://x.org/y.md)"),
        ("[a](#below)", "[a](#below)"),
        ("`[a](../files.md)` [b](../x)", "`[a](../files.md)` [b](https://host/docs/x)"),
        ("```\n[a](../../b.md)\n```", "```\n[a](../../b.md)\n```"),
    ],
)
def test_links_of_the_repository_hold_on_the_site(
    site: Any, written: str, on_the_site: str
) -> None:
    assert _rewritten(site, written) == on_the_site


def _scripts_of_pictures() -> dict[str, str]:
    scripts = (ROOT / "docs" / "pictures").glob("*.py")
    return {path.stem: path.read_text("utf-8") for path in scripts}


def test_every_picture_is_made_by_a_script_and_shown() -> None:
    scripts = _scripts_of_pictures()
    made = set(re.findall(r'\.save\("([\w-]+)"', "\n".join(scripts.values())))
    assert len(made) >= 5
    files = {path.name for path in (ROOT / "docs" / "images").iterdir()}
    assert files == {f"{name}{part}.png" for name in made for part in ("", "-light")}
    pages = "\n".join(path.read_text("utf-8") for path in ROOT.glob("docs/**/*.md"))
    assert not [name for name in made if f"images/{name}.png" not in pages]


def test_all_scripts_of_pictures_are_run() -> None:
    scripts = _scripts_of_pictures()
    run = re.search(r"^SCRIPTS = \((.*)\)", scripts["__main__"], re.MULTILINE)
    assert run is not None
    names = set(re.findall(r'"(\w+)"', run.group(1)))
    assert names | {"states"} == {
        name for name, text in scripts.items() if "import Window" in text
    }


def test_a_picture_is_light_on_the_light_page(site: Any) -> None:
    both = site("links").in_both_themes
    files = {"docs/images/a.png", "docs/images/a-light.png"}
    assert both("![b](../images/a.png) [c](d.md)", files) == (
        "![b](../images/a.png#only-dark)"
        "![b](../images/a-light.png#only-light) [c](d.md)"
    )
    assert both("![b](images/other.png)", files) == "![b](images/other.png)"


def test_the_reference_has_every_public_name_once() -> None:
    pages = (ROOT / "docs" / "reference" / "python").glob("*.md")
    text = "\n".join(path.read_text("utf-8") for path in pages)
    named = re.findall(r"^::: unet_engine\.(\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted(unet_engine.__all__)


@pytest.mark.slow
def test_the_site_is_built_and_needs_no_network_to_be_viewed(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A server shows 404.html at any address, so that its links begin at the root.
    pages = {
        path: path.read_text("utf-8")
        for path in tmp_path.rglob("*.html")
        if path.name != "404.html"
    }
    assert len(pages) > 25
    for path, html in pages.items():
        # Links of a page may lead anywhere; what it loads is beside it.
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="?([^"\s>]+)', html)
        loaded += re.findall(
            r'<link[^>]*rel="?stylesheet"?[^>]*href="?([^"\s>]+)', html
        )
        assert not [address for address in loaded if "//" in address]
        files = [path.parent / re.sub(r"[?#].*", "", address) for address in loaded]
        assert files
        assert not [file for file in files if not file.exists()]
