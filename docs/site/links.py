"""Links of the repository's documents as links between pages of the site.

The documents are written for the repository, where a link names a file. On the site
some of these files are pages elsewhere, and others are not there at all.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

_LINK = re.compile(r"(\]\()([^)\s#]+)?(#[^)\s]*)?(\))")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([./]*images/)([\w-]+)\.png\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


class UnknownLinkError(Exception):
    """A document links to a file that is neither a page nor in the repository."""


def rewrite_links(
    text: str,
    *,
    source: str,
    page: str,
    pages: Mapping[str, str],
    elsewhere: Callable[[str], str],
) -> str:
    """Rewrite the relative links of a document so that they hold on the site.

    Parameters
    ----------
    text
        Markdown of the document.
    source
        Path of the document in the repository, which its links start from.
    page
        Path of its page on the site.
    pages
        Path on the site of each file of the repository that is on it. A key may carry
        an anchor: ``README.md#install``.
    elsewhere
        Gives the address of a file that is not on the site.

    Raises
    ------
    UnknownLinkError
        By ``elsewhere``, for a file that does not exist.
    """

    def rewrite(match: re.Match[str]) -> str:
        opening, target, anchor, closing = match.groups(default="")
        if not target or "://" in target or target.startswith("mailto:"):
            return match.group(0)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path + anchor in pages:
            path, anchor = pages[path + anchor], ""
        elif path in pages:
            path = pages[path]
        else:
            return f"{opening}{elsewhere(path)}{anchor}{closing}"
        start = posixpath.dirname(page) or "."
        return f"{opening}{posixpath.relpath(path, start)}{anchor}{closing}"

    return _outside_code(text, lambda part: _LINK.sub(rewrite, part))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [change(text[end : code.start()]), code.group(0)]
        end = code.end()
    return "".join([*parts, change(text[end:])])


def in_both_themes(text: str, files: Container[str]) -> str:
    """Add the light picture to each dark one that has one, for the light page.

    Parameters
    ----------
    text
        Markdown of a document.
    files
        Paths in the repository of what is on the site.
    """

    def both(match: re.Match[str]) -> str:
        shown, folder, stem = match.groups()
        if f"docs/images/{stem}-light.png" not in files:
            return match.group(0)
        return (
            f"![{shown}]({folder}{stem}.png#only-dark)"
            f"![{shown}]({folder}{stem}-light.png#only-light)"
        )

    return _PICTURE.sub(both, text)
