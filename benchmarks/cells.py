"""What the bundled ``cells`` model finds without any stroke in transmitted light.

::

    python benchmarks/cells.py --data ../shared/data

Held-out images of the sets that it was trained on, and sets of other sources. IoU is of
all pixels together, the scores of objects (the default of ``napari-unet objects``) are
means over images; of the monolayers and of DIC, where touching cells have no ids of
their own, they mean nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model_study.defaults import measure_kinds

from bundled_models.sets import list_blocks, list_files, read_labels
from unet_engine.images import Image, open_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_study.defaults import Example

OWN = ("phc_t98g_cells", "phc_monolayer_nist", "brightfield_celegans")
"""Sets whose images were trained on but for those that are held out."""
DIC, RODS = "dic_hela", "bacteria_phc_2dt"
"""Sets of which nothing was trained on; the second is a time series."""
EVERY = 6
"""Of the frames of a series, which resemble each other, every so many are taken."""


def held_out(data: Path, name: str) -> Iterator[Example]:
    """Yield the held-out images of a set and their ids."""
    for image, labels in list_blocks(data / name, held_out=True):
        yield open_image(image), read_labels(labels)


def frames(data: Path) -> Iterator[Example]:
    """Yield some frames of the cells in differential interference contrast."""
    files = [f for side in (True, False) for f in list_files(data / DIC, held_out=side)]
    for image, labels in sorted(files)[::EVERY]:
        yield open_image(image), read_labels(labels)


def rods(data: Path) -> Iterator[Example]:
    """Yield the frames of the series of bacteria."""
    (path,) = (data / RODS / "images").iterdir()
    series, labels = (open_image(p) for p in (path, data / RODS / "labels" / path.name))
    for index in series.indices():
        frame = Image.from_array(series.read(index)[0], "YX")
        yield frame, labels.read(index)[0]


def kinds(data: Path) -> dict[str, Iterator[Example]]:
    """Return the images of each row of the table."""
    return {
        **{name: held_out(data, name) for name in OWN},
        DIC: frames(data),
        RODS: rods(data),
    }


if __name__ == "__main__":
    measure_kinds(__doc__, "cells", kinds, (*OWN, DIC, RODS))
