"""A page of HTML as a PDF file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QMarginsF
from qtpy.QtGui import QPageLayout, QPageSize, QPdfWriter, QTextDocument

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file

if TYPE_CHECKING:
    from pathlib import Path

_RESOLUTION = 150
"""Dots per inch: text is drawn as text; pictures have some 400 pixels."""


def write_pdf(path: Path, page: str) -> None:
    """Write a page as PDF in A4, whole or not at all.

    Parameters
    ----------
    path
        Of the file.
    page
        HTML with tables and pictures in data URIs. Nothing else is loaded.

    Raises
    ------
    DataError
        When it cannot be written.
    """
    document = QTextDocument()
    document.setHtml(page)
    with whole_file(path) as temporary:
        writer = QPdfWriter(str(temporary))
        writer.setResolution(_RESOLUTION)
        writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
        # Qt leaves 20 mm for its page numbers beside these.
        writer.setPageMargins(QMarginsF(0, 0, 0, 0), QPageLayout.Unit.Millimeter)
        # It is print_ in PyQt5 and PySide, print in PyQt6.
        draw = getattr(document, "print_", None) or document.print
        draw(writer)
        # Its file is complete when it ends.
        del writer
        if not temporary.is_file() or not temporary.stat().st_size:
            raise DataError(f"{path} cannot be written; choose another folder")
