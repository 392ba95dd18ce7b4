"""The worst places of ``napari-unet evaluate --worst``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.metrics import LabelKind
    from unet_engine.metrics.comparison import WorstPlace
    from unet_engine.training.data.labelled_images import LabelledImage


class WorstPlaces:
    """The places of all images where predictions and labels differ most.

    Parameters
    ----------
    kind
        What the labels mean.
    most
        Places at most; with 0 nothing is compared.
    """

    def __init__(self, kind: LabelKind, most: int) -> None:
        self._kind: LabelKind = kind
        self._most = most
        self._worst: list[tuple[str, WorstPlace]] = []

    def add(self, labelled: LabelledImage, predicted: npt.NDArray[np.uint8]) -> None:
        """Compare an image, and keep the worst of all."""
        from unet_engine.training.evaluation import find_worst

        if self._most:
            found = find_worst(labelled, predicted, self._kind, self._most)
            self._worst += [(labelled.name, place) for place in found]
            self._worst.sort(key=lambda one: -one[1].pixels)
            del self._worst[self._most :]

    def figures(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """Return them as JSON values, the worst first."""
        return [
            {
                "image": image,
                "plane": list(place.index),
                "rows": [place.rows.start, place.rows.stop],
                "columns": [place.columns.start, place.columns.stop],
                "pixels": place.pixels,
                "what": place.describe(classes),
            }
            for image, place in self._worst
        ]


def print_places(worst: Iterable[Mapping[str, Any]]) -> None:
    """Print a line for each place, as `WorstPlaces.figures` returns them."""
    for number, place in enumerate(worst):
        if not number:
            print("worst places:")
        planes = ", ".join(map(str, place["plane"]))
        parts = [f"plane {planes}"] if planes else []
        parts += [
            f"{axis} {place[axis][0]}:{place[axis][1]}" for axis in ("rows", "columns")
        ]
        print(f"  {place['image']}: {', '.join(parts)}: {place['what']}")
