"""The figures on disk and the table made from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reproduction.datasets import DATASETS
from reproduction.rows import NETWORKS, ROWS
from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.models.spec import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Record = dict[str, Any]

START, END = "<!-- reproduction: start -->", "<!-- reproduction: end -->"
_HEADER = [
    *("network", "backbone", "data", "split", "parameters", "minutes", "device"),
    *("metric", "ours", "paper", "comparable"),
]

_METRICS = {
    "em": {
        "pixel_error": "pixel error",
        "best_pixel_f_error": "pixel error, ISBI (1 - F, best threshold)",
        "best_rand_error": "Rand error, ISBI 2012 (best threshold)",
        "best_split_merge_error": "warping error, ISBI 2012 (best threshold)",
        "best_v_rand": "V_Rand (best threshold)",
        "best_v_info": "V_Info (best threshold)",
        "mean_iou": "mean IoU",
    },
    "hela": {
        "iou_cell": "IoU of cells",
        "mean_iou": "mean IoU",
        "pixel_error": "pixel error",
    },
    "wbc": {
        "mean_iou": "mean IoU",
        "pixel_accuracy": "pixel accuracy",
        "mean_accuracy": "mean accuracy",
        "frequency_weighted_iou": "frequency-weighted IoU",
    },
}

_ISBI = "same score, other slices (1)"
_HELA = "no (2)"
_VOC = "no, only the order (3)"
_NOTES = """
Each network was measured on images that it was not trained on, as the mean over the 8
flips and turns. Best threshold: chosen on the judged pixels, as the challenge does.
Rows with fewer parameters than the paper's are the narrower networks of `--quick`. The
minutes of FCN-16s and 8s come after those of the coarser network that they start from.
The machine did other work at the same time: a quiet one takes more steps in them.

1. The paper's figures are of the test stack of the challenge, whose labels were never
   published; ours are of slices of its training stack that were kept apart.
2. The paper's figure is of the Cell Tracking Challenge: over objects, on a sequence
   whose labels were not published. Ours is over pixels of later frames.
3. The paper's figures are of PASCAL VOC 2011; only the order of the networks compares.
"""


@dataclass(frozen=True, slots=True)
class Published:
    """A figure of a paper and whether ours can be compared with it."""

    value: str
    comparable: str


PUBLISHED = {
    **{
        (network, "em", metric): Published(value, _ISBI)
        for network in ("unet", "unet-valid")
        for metric, value in (
            ("best_pixel_f_error", "0.0611"),
            ("best_rand_error", "0.0382"),
            ("best_split_merge_error", "0.000353"),
        )
    },
    **{
        (network, "hela", "iou_cell"): Published("0.7756", _HELA)
        for network in ("unet", "unet-valid")
    },
    **{
        (network, data, "mean_iou"): Published(value, _VOC)
        for data in DATASETS
        for network, value in (
            ("fcn32s-vgg16", "0.594"),
            ("fcn16s-vgg16", "0.624"),
            ("fcn8s-vgg16", "0.627"),
            ("fcn32s-alexnet", "0.398"),
        )
    },
}
"""By network, data and score: Ronneberger et al. 2015, tables 1 and 2 (rows without
notes), Long et al. 2015, tables 1 and 2."""


def key_of(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what identifies a measurement: row, scale and start."""
    return record["row"], record["scale"], record["start"]


def read_records(path: Path) -> list[Record]:
    """Read the measurements so far; none when there is no file.

    Raises
    ------
    DataError
        When the file is not one of measurements.
    """
    if not path.exists():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        for record in records:
            key_of(record)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} holds no measurements ({error!r}); give another --json"
        ) from error
    known: list[Record] = [record for record in records if record["row"] in ROWS]
    return known


def add_record(path: Path, record: Record) -> list[Record]:
    """Add a measurement, in place of an older one of the same row, and return all."""
    records = [r for r in read_records(path) if key_of(r) != key_of(record)]
    records.append(record)
    order = list(ROWS)
    records.sort(key=lambda r: (order.index(r["row"]), r["scale"], r["start"]))
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return records


def write_table(path: Path, records: list[Record]) -> None:
    """Put the table between its markers, at the end of a file that has none."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Measurements\n"
    if START not in text:
        text += f"\n## Networks of the literature\n\n{START}\n{END}\n"
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    table = "\n".join(make_table(records))
    with whole_file(path) as temporary:
        temporary.write_text(
            f"{before}{START}\n{table}\n{_NOTES}{END}{after}", encoding="utf-8"
        )


def make_table(records: list[Record]) -> Iterator[str]:
    """Give the lines of the table, one for each score of each measurement."""
    yield _line(_HEADER)
    yield _line(["---"] * len(_HEADER))
    for record in records:
        yield from _lines(record)


def _lines(record: Record) -> Iterator[str]:
    row = ROWS[record["row"]]
    network = NETWORKS[row.network]
    title = ARCHITECTURES[network.architecture].title
    note = f", {row.note}" if row.note else ""
    first = [
        f"{title}{note}",
        f"{network.backbone}, {record['start']}" if network.backbone else "-",
        DATASETS[row.data].folder,
        DATASETS[row.data].split,
        f"{record['parameters'] / 1e6:.1f} M",
        f"{record['minutes']:.1f}",
        record["device"],
    ]
    for score, name in _METRICS[row.data].items():
        # The paper trained on all images there were.
        few = row.images is not None
        published = None if few else PUBLISHED.get((row.network, row.data, score))
        yield _line(
            [
                *first,
                name,
                f"{record['scores'][score]:.4g}",
                published.value if published else "-",
                published.comparable if published else "-",
            ]
        )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
