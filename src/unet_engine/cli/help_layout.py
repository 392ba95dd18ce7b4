"""What the help of a command looks like: two columns without lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

_NAMES_WIDTH = 28
"""Columns for the names of an option; longer ones go on in the next line."""


class HelpLayout:
    """Prints the panels of a help for terminals, pipes and screen readers.

    Descriptions are set anew: their lines are those of docstrings in the code.
    """

    def __call__(
        self, console: Console, options: ConsoleOptions, panel: HelpPanel
    ) -> None:
        """Print one panel."""
        table = Table.grid(padding=(0, 2))
        table.add_column(max_width=_NAMES_WIDTH, overflow="fold")
        table.add_column()
        for entry in panel.entries:
            names = Text(" ".join(entry.display_labels_with_metavar), style="bold")
            table.add_row(names, _description(entry))
        if panel.entries:
            console.print(Text(f"{panel.title}:", style="bold"))
            console.print(Padding(table, (0, 0, 0, 2), expand=False))
            console.print()

    def render_usage(
        self, console: Console, options: ConsoleOptions, usage: Any
    ) -> None:
        """Print the line above everything."""
        console.print(Text(f"usage: {usage}"), soft_wrap=True)


def _description(entry: HelpEntry) -> Text:
    written = getattr(entry.description, "primary_renderable", entry.description)
    parts = str(written or "").split()
    if entry.default is not None:
        parts.append(f"(default: {entry.default})")
    if entry.choices:
        parts.append(f"[{', '.join(entry.choices)}]")
    if entry.required:
        parts.append("[required]")
    return Text(" ".join(parts))
