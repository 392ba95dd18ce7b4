"""The check of a GPU: what it downloads, its limits in time, and its table."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import gpu_check
import gpu_wheels
from gpu_check import ROOT, Part


def arguments(out: Path, minutes: float = 1.0) -> argparse.Namespace:
    return argparse.Namespace(out=out, device="cpu", minutes=minutes, quick=True)


def part(name: str, program: str, share: float = 0.5) -> Part:
    return Part(
        name=name,
        title=name.title(),
        command=("-c", program),
        share=share,
        figures=f"{name}.json",
    )


def test_torch_is_not_downloaded_and_no_requirement_is_named_twice() -> None:
    names = [gpu_wheels._name(line) for line in gpu_wheels.requirements()]
    assert not {"torch", "torchvision", "magicgui", "qtpy"} & set(names)
    assert {"safetensors", "zarr", "pytest", "hypothesis"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("written", "name"),
    [("PyQt5>=5.15", "pyqt5"), ("dask[array]>=2024", "dask"), ("a_b.C", "a-b-c")],
)
def test_names_of_packages_are_compared_as_pip_does(written: str, name: str) -> None:
    assert gpu_wheels._name(written) == name


@pytest.mark.slow
def test_a_part_that_is_late_or_fails_leaves_the_table_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = "import json; json.dump([{'ms': 3, 'note': 'a|b'}], open('%s.json', 'w'))"
    slow = f"{write % 'slow'}; import time; time.sleep(60)"
    described = [
        part("slow", slow, share=0.04),
        part("broken", "raise SystemExit(3)"),
        part("good", write % "good"),
    ]
    monkeypatch.setattr(gpu_check, "parts", lambda _: described)
    started = time.monotonic()
    assert not gpu_check.check(arguments(tmp_path, minutes=2))
    assert time.monotonic() - started < 50
    text = (tmp_path / "gpu-check.md").read_text("utf-8")
    assert "ended after its 5 s" in text
    assert "ended with 3, see broken.log" in text
    assert text.count("| ms | note |") == 2 and "a\\|b" in text
    assert "good: complete" in capsys.readouterr().out


def test_all_parts_share_the_time_and_are_commands_of_this_repository(
    tmp_path: Path,
) -> None:
    described = gpu_check.parts(arguments(tmp_path))
    assert sum(one.share for one in described) <= 1
    for one in described:
        script = one.command[0]
        assert script == "-m" or Path(script).is_file()
    assert all((ROOT / "tests/engine" / one).is_dir() for one in gpu_check.TESTED)


def test_failed_tests_are_counted_and_named(tmp_path: Path) -> None:
    path = tmp_path / "tests.xml"
    path.write_text(
        "<testsuites><testsuite><testcase classname='a' name='good'/>"
        "<testcase classname='a' name='bad'><failure/></testcase>"
        "<testcase classname='a' name='left'><skipped/></testcase>"
        "</testsuite></testsuites>"
    )
    assert gpu_check.test_counts(path) == {
        "passed": 1, "skipped": 1, "failed": 1, "which": "a::bad",
    }  # fmt: skip


def test_aims_are_judged_by_what_was_measured() -> None:
    rows = {
        "variants": [
            {"variant": "product, half", "ms": 4.0},
            {"variant": "float16", "ms": 2.0},
            {"variant": "tf32", "note": "no time was left"},
        ],
        "disk": [{"share": 0.7}, {"share": 0.5}],
    }
    block, disk = gpu_check.verdicts(rows)
    assert "4.00 ms, 2.00 ms at best" in block and block.endswith(": met.")
    assert "50%" in disk and disk.endswith("not met.")
    assert gpu_check.verdicts({}) == []
    assert gpu_check.figures(part("none", ""), Path("nowhere")) == []
    assert json.dumps(gpu_check.table([{"a": {"x": 1}}])) == json.dumps(
        ["| a |", "|---|", "| x 1 |"]
    )
