"""Measure the networks of the literature on images that were kept apart.

::

    python benchmarks/reproduce.py --list
    python benchmarks/reproduce.py --row unet-em --quick

Each row is trained and measured by itself. Its figures go into a JSON file and from
there into the table in ``RESULTS.md``; a row that is in the file is not run again, so a
run that was interrupted goes on where it was. A row that starts from another one
(FCN-16s from FCN-32s) measures that first.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reproduction.measurement import Setting, measure
from reproduction.results import add_record, key_of, read_records, write_table
from reproduction.rows import ROWS, coarser_row

from unet_engine.errors import EngineError

HERE = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run the chosen rows and return the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        print("\n".join(ROWS))
        return 0
    limits = {"minutes": arguments.minutes, "steps": arguments.steps}
    setting = Setting(
        data=arguments.data,
        models=arguments.models,
        scale="quick" if arguments.quick else "full",
        imagenet=not arguments.quick
        if arguments.imagenet is None
        else arguments.imagenet,
        device=arguments.device,
        limits={name: value for name, value in limits.items() if value is not None},
    )
    try:
        for name in ROWS if arguments.row == ["all"] else arguments.row:
            run_row(name, setting, arguments)
        write_table(arguments.table, read_records(arguments.json))
    except (EngineError, OSError) as error:
        print(f"reproduce: error: {error}", file=sys.stderr)
        return 1
    return 0


def run_row(
    name: str, setting: Setting, arguments: argparse.Namespace, *, needed: bool = False
) -> None:
    """Measure a row after the one that it starts from, unless that is done.

    Parameters
    ----------
    name, setting, arguments
        The row, and the options of the command line.
    needed
        Another row needs the model, which is not there, even if the figures are.
    """
    coarser = coarser_row(name)
    if coarser is not None and not setting.model_of(coarser).exists():
        run_row(coarser, setting, arguments, needed=True)
    key = name, setting.scale, setting.start_of(name)
    done = {key_of(record) for record in read_records(arguments.json)}
    if key in done and not (needed or arguments.again):
        print(f"{name}: measured before; --again measures it anew", file=sys.stderr)
        return
    record = measure(name, setting)
    write_table(arguments.table, add_record(arguments.json, record))
    scores = ", ".join(f"{k} {v:.4g}" for k, v in record["scores"].items())
    print(f"{name}: {record['minutes']:.1f} min, {scores}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--row",
        action="append",
        default=[],
        choices=[*ROWS, "all"],
        metavar="NAME",
        help="what to measure; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument(
        "--quick", action="store_true", help="narrower networks, for a CPU"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--json", type=Path, default=HERE / "reproduction.json", help="figures so far"
    )
    parser.add_argument("--table", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--models", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--again", action="store_true", help="replace older figures")
    parser.add_argument(
        "--imagenet",
        action=argparse.BooleanOptionalAction,
        help="start VGG-16 and AlexNet, at their published width, from ImageNet, "
        "which may need a download (default: unless --quick)",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--minutes", type=float, help="of each training")
    parser.add_argument("--steps", type=int, help="of each training")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
