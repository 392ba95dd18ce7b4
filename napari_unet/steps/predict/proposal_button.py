"""A button that shows what a model finds in a part of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_unet.jobs.proposals import TriedModel

_EDGE = 84
"""Pixels of the picture on screen: three buttons and the steps above fit 720 lines."""
_GAP = 5
"""Pixels around the picture."""


class ProposalButton(QPushButton):
    """A picture, the name of the model, and why it is proposed or not.

    Parameters
    ----------
    tried
        The model and what it finds.
    """

    def __init__(self, tried: TriedModel) -> None:
        super().__init__()
        self.proposal = tried.proposal
        name = self.proposal.model.name
        self.setObjectName("unet_proposal")
        self.setAccessibleName(name)
        self.setToolTip(
            f"Choose {name} and predict. The picture is a part of the image, with "
            "outlines of what the model finds there."
        )
        self.picture, self.reason = QLabel(), QLabel(self.proposal.reason)
        self.picture.setPixmap(_pixmap(tried.picture, self.devicePixelRatioF()))
        self.picture.setFixedSize(_EDGE, _EDGE)
        self.reason.setWordWrap(True)
        title = QLabel(name)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        words = QVBoxLayout()
        words.addStretch(1)
        for label in (title, self.reason):
            label.setSizePolicy(
                QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
            )
            words.addWidget(label)
        words.addStretch(1)
        line = QHBoxLayout(self)
        line.setContentsMargins(_GAP, _GAP, _GAP, _GAP)
        line.setSpacing(2 * _GAP)
        line.addWidget(self.picture)
        line.addLayout(words, 1)
        for part in self.findChildren(QWidget):
            # The button gets the clicks, and its own colour is seen behind them.
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            part.setStyleSheet("background: transparent;")
        self.setFixedHeight(_EDGE + 2 * _GAP)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return the size of the picture and of some words beside it."""
        return QSize(3 * _EDGE, _EDGE + 2 * _GAP)

    def minimumSizeHint(self) -> QSize:
        """Return the size of the picture."""
        return QSize(_EDGE + 2 * _GAP, _EDGE + 2 * _GAP)


def _pixmap(picture: npt.NDArray[np.uint8], ratio: float) -> QPixmap:
    """Return a picture that fills the square, cut where it is longer."""
    height, width = picture.shape[:2]
    image = QImage(
        picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
    )
    edge = round(_EDGE * ratio)
    pixmap = QPixmap.fromImage(image).scaled(
        edge,
        edge,
        Qt.AspectRatioMode.KeepAspectRatioByExpanding,
        Qt.TransformationMode.SmoothTransformation,
    )
    left, top = (pixmap.width() - edge) // 2, (pixmap.height() - edge) // 2
    pixmap = pixmap.copy(left, top, edge, edge)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
