"""Tests of what is found about libraries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from unet_engine import doctor
from unet_engine.doctor import libraries
from unet_engine.doctor.libraries import library_findings
from unet_engine.model_packages import library

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = {"torch": "2.13.0+cpu", "torchvision": "0.28.0", "numpy": "2.4.6"}
REQUIRED = {
    "napari-unet-finetune": [
        "numpy>=2.0",
        "torch>=2.6",
        'napari>=0.7.1; extra == "napari"',
        'PyQt6!=6.11.0,>=6.6; extra == "pyqt6"',
        'mkdocs<2; extra == "docs"',
        'tomli; python_version < "3"',
    ],
    "torchvision": ["numpy", "torch==2.13.0"],
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the versions of what is installed, to be changed."""
    there = dict(VERSIONS)
    for module in libraries, library:
        monkeypatch.setattr(
            module, "installed_version", lambda name: there.get(name, "")
        )
    monkeypatch.setattr(libraries, "requires", REQUIRED.__getitem__)
    monkeypatch.setattr(libraries, "llvm_is_open_to_all", lambda: False)
    monkeypatch.setattr(libraries, "_cpu_flags", frozenset)
    return there


def broken() -> list[tuple[str, str]]:
    return [(f.text, f.advice) for f in library_findings() if f.state == "broken"]


def test_versions_are_named(installed: dict[str, str]):
    found = list(library_findings())
    assert [finding.state for finding in found] == ["ok"]
    assert "torch 2.13.0+cpu, torchvision 0.28.0, numpy 2.4.6" in found[0].text


def test_what_is_really_installed_is_well():
    assert broken() == []


@pytest.mark.parametrize(
    ("name", "number", "advice"),
    [
        ("numpy", "1.26.4", 'pip install "numpy>=2.0"'),
        ("numpy", "", 'pip install "numpy>=2.0"'),
        ("PyQt6", "6.11.0", 'pip install "PyQt6!=6.11.0,>=6.6"'),
        ("napari", "0.6.0", 'pip install "napari>=0.7.1"'),
    ],
)
def test_versions_that_do_not_suit(
    installed: dict[str, str], name: str, number: str, advice: str
):
    installed[name] = number
    ((text, found),) = broken()
    assert text.startswith(f"{name} {number or 'is not installed'}")
    assert found == advice


def test_extras_of_developers_do_not_count(installed: dict[str, str]):
    installed["mkdocs"] = "2.0"
    assert broken() == []


def test_torchvision_of_another_torch(installed: dict[str, str]):
    installed["torch"] = "2.12.1+cu130"
    ((text, advice),) = broken()
    assert text.startswith("torch 2.12.1+cu130 does not suit torchvision")
    assert "torch==2.13.0" in advice


def test_mesa_and_triton_in_one_process(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(libraries, "llvm_is_open_to_all", lambda: True)
    monkeypatch.setitem(sys.modules, "triton", doctor)
    ((text, advice),) = broken()
    assert text.startswith("triton and the LLVM of Mesa")
    assert "pip uninstall triton" in advice
    # Blocked, as `keep_triton_out` does.
    monkeypatch.setitem(sys.modules, "triton", None)
    installed["triton"] = "3.4"
    assert broken() == []
    assert any("kept out" in finding.text for finding in library_findings())


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only there they are known to hang"
)
def test_two_openmp(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    loaded = [{"prefix": "libiomp"}, {"prefix": "libopenblas"}]
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: loaded)
    assert broken() == []
    loaded.append({"prefix": "libomp"})
    assert "OpenMP of Intel" in broken()[0][0]


@pytest.mark.parametrize(
    ("torch", "flags", "noted"),
    [
        ("2.13.0+cpu", "fpu amx_bf16", True),
        ("2.13.0+cpu", "fpu avx2", False),
        ("2.15.0", "amx_bf16", False),
        ("2.10.1", "amx_bf16", False),
    ],
)
def test_amx_and_onednn(
    installed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    torch: str,
    flags: str,
    noted: bool,
):
    installed["torch"] = torch
    monkeypatch.setattr(libraries, "_cpu_flags", lambda: frozenset(flags.split()))
    notes = [f for f in library_findings() if f.state == "note"]
    assert ["ONEDNN_MAX_CPU_ISA" in note.advice for note in notes] == [True] * noted


def test_flags_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stated = tmp_path / "cpuinfo"
    monkeypatch.setattr(libraries, "_CPU_FLAGS", stated)
    assert libraries._cpu_flags() == frozenset()
    stated.write_text("model\t: 1\nflags\t\t: fpu amx_bf16\nbugs: none\n")
    assert libraries._cpu_flags() == {"fpu", "amx_bf16"}


@pytest.mark.parametrize(
    ("spec", "pydantic", "noted"),
    [
        ("0.5.12.0", "2.14.3", True),
        ("0.5.14.3", "2.14.3", False),
        ("0.5.12.0", "2.13.5", False),
        ("", "2.14.3", False),
    ],
)
def test_packages_that_cannot_be_written(
    installed: dict[str, str], spec: str, pydantic: str, noted: bool
):
    installed |= {"bioimageio.spec": spec, "pydantic": pydantic}
    notes = [f for f in library_findings() if f.state == "note"]
    assert ["pydantic<2.14" in note.advice for note in notes] == [True] * noted


def test_two_bindings(installed: dict[str, str]):
    installed |= {"PyQt5": "5.15", "PyQt6": "6.9"}
    (note,) = [f for f in library_findings() if f.state == "note"]
    assert note.text.startswith("PyQt5 and PyQt6")
