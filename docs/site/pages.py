"""Hook of MkDocs: pages made from the code and from documents of the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from commands import commands_sections
from links import UnknownLinkError, in_both_themes, rewrite_links
from mkdocs.structure.files import File
from model_cards import model_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]

DOCUMENTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "reference/benchmarks.md",
}
"""Documents of the repository that are pages of the site as they are."""

CARDS = {
    f"resources/models/{card.name}": f"reference/models/{card.name}"
    for card in sorted(ROOT.glob("resources/models/*.md"))
}
COMMANDS = "reference/commands.md"
PICTURES = {
    "benchmarks/strokes_planes.png": "reference/strokes_planes.png",
    **{
        f"resources/models/{picture.name}": f"reference/models/{picture.name}"
        for picture in sorted(ROOT.glob("resources/models/*.png"))
    },
}
SECTIONS = {"README.md#install": "install.md", "README.md": "index.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the documents from outside ``docs``."""

    def add(uri: str, content: str | bytes) -> None:
        files.append(File.generated(config, uri, content=content))

    for source, uri in DOCUMENTS.items():
        add(uri, (ROOT / source).read_text("utf-8"))
    for source, uri in CARDS.items():
        add(uri, model_page(ROOT / source))
    for source, uri in PICTURES.items():
        add(uri, (ROOT / source).read_bytes())
    add("install.md", _section((ROOT / "README.md").read_text("utf-8"), "Install"))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Let links to files of the repository lead to their pages."""
    uri = page.file.src_uri
    if uri == COMMANDS:
        markdown += f"\n\n{commands_sections()}"
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files}
    pages |= SECTIONS | DOCUMENTS | CARDS | PICTURES
    sources = {made: source for source, made in (DOCUMENTS | CARDS).items()}
    sources["install.md"] = "README.md"

    def elsewhere(path: str) -> str:
        if not (ROOT / path).exists():
            raise UnknownLinkError(f"{uri} links to {path}, which does not exist")
        return f"{config.extra['source']}/blob/main/{path}"

    source = sources.get(uri, f"docs/{uri}")
    return rewrite_links(
        in_both_themes(markdown, pages),
        source=source,
        page=uri,
        pages=pages,
        elsewhere=elsewhere,
    )


def _section(text: str, title: str) -> str:
    """Return a section of a document as a page of its own."""
    found = re.search(rf"^## {title}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no section '{title}'; name the one to take")
    return found.group(0).removeprefix("#")
