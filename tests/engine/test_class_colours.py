"""Colours of the classes: far apart, to colour-blind people as well."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from unet_engine.class_colours import BACKGROUND_COLOUR, colour_of

# Machado, Oliveira and Fernandes 2009, severity 1, of linear RGB.
COLOUR_VISIONS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def _rgb(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def _seen(colours: list[str], vision: np.ndarray) -> np.ndarray:
    values = np.array([_rgb(colour) for colour in colours])
    low = values <= 0.04045
    linear = np.where(low, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ vision.T, 0, 1)
    low = linear <= 0.0031308
    return rgb2lab(np.where(low, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("vision", list(COLOUR_VISIONS))
def test_no_two_colours_look_alike(vision: str) -> None:
    names = [colour_of(label) for label in range(1, 31)]
    lab = _seen(names, COLOUR_VISIONS[vision])
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    apart[np.diag_indices(len(apart))] = np.inf
    assert apart.min() > 13


@pytest.mark.parametrize("vision", list(COLOUR_VISIONS))
def test_the_background_looks_like_no_class(vision: str) -> None:
    names = [colour_of(label) for label in range(1, 31)]
    lab = _seen([BACKGROUND_COLOUR, *names], COLOUR_VISIONS[vision])
    assert np.linalg.norm(lab[1:] - lab[0], axis=-1).min() > 13
