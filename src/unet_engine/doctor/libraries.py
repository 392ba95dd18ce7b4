"""Versions of the libraries, and pairs of them that are known not to work."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from unet_engine.doctor.finding import Finding
from unet_engine.llvm import llvm_is_open_to_all
from unet_engine.model_packages.library import why_not_written
from unet_engine.versions import installed_version, python_version

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = "napari-unet-finetune"

_EXTRAS = ("", "napari", "pyqt5", "pyqt6", "bioio", "bioimageio")
"""Extras of this package that are for its users, and none of them."""

_NAMED = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "zarr",
    "tifffile",
    "napari",
    "PyQt5",
    "PyQt6",
    "PySide6",
    "bioimageio.spec",
    "onnxruntime",
    "triton",
)
"""What a report of a bug names; those that are not installed are left out."""

_CPU_FLAGS = Path("/proc/cpuinfo")

_AMX_FAULT = (Version("2.11"), Version("2.15"))
"""Versions of torch from the first on and below the second whose oneDNN was seen to
write beside its memory on processors with AMX; see ``models.networks.fcn.Score``."""


def library_findings() -> Iterator[Finding]:
    """Yield the versions there are, and what is wrong with them."""
    found = {name: one for name in _NAMED if (one := installed_version(name))}
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    yield Finding(
        area="libraries", state="ok", text=f"Python {python_version()}, {listed}"
    )
    yield from _unmet(_PACKAGE)
    # A torch of another build than torchvision was made for fails at its first use.
    yield from _unmet("torchvision", only=("torch",))
    yield from _bad_pairs(found)


def _unmet(package: str, only: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Yield what a package requires and that is missing or of another version.

    Of extras only what is installed counts.
    """
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return
    for line in dict.fromkeys(lines):
        try:
            required = Requirement(line)
        except InvalidRequirement:
            continue
        if only and canonicalize_name(required.name) not in only:
            continue
        marker = required.marker
        wanted = [e for e in _EXTRAS if not marker or marker.evaluate({"extra": e})]
        if not wanted:
            continue
        needed, there = "" in wanted, installed_version(required.name)
        if not there and needed:
            yield _broken_library(
                f"{required.name} is not installed, which {package} needs", required
            )
        elif there and not _fits(required, there):
            yield _broken_library(
                f"{required.name} {there} does not suit {package}, which needs "
                f"{required.name} {required.specifier}",
                required,
            )


def _fits(required: Requirement, there: str) -> bool:
    try:
        # A build of torch for the CPU, 2.6.0+cpu, is a 2.6.0.
        number = Version(there).public
        return required.specifier.contains(number, prereleases=True)
    except InvalidVersion:
        return True


def _broken_library(text: str, required: Requirement) -> Finding:
    wanted = f"{required.name}{required.specifier}"
    return Finding(
        area="libraries",
        state="broken",
        text=text,
        advice=f'pip install "{wanted}"',
    )


def _bad_pairs(found: dict[str, str]) -> Iterator[Finding]:
    yield from _mesa_and_triton()
    yield from _two_openmp()
    yield from _amx_and_onednn(found.get("torch", ""))
    yield from _specification_and_pydantic()
    bindings = [name for name in ("PyQt5", "PyQt6", "PySide6") if name in found]
    if len(bindings) > 1:
        yield Finding(
            area="libraries",
            state="note",
            text=f"{' and '.join(bindings)} are installed; napari takes one of them",
            advice="if the window fails to open, set QT_API to pyqt5, pyqt6 or "
            "pyside6, or uninstall the others",
        )


def _specification_and_pydantic() -> Iterator[Finding]:
    """Look for a bioimageio.spec that cannot write a package with its pydantic."""
    text, advice = why_not_written()
    if text:
        yield Finding(area="libraries", state="note", text=text, advice=advice)


def _mesa_and_triton() -> Iterator[Finding]:
    """Look whether the two copies of LLVM met; see ``unet_engine.llvm``."""
    if not llvm_is_open_to_all():
        return
    if sys.modules.get("triton") is not None:
        yield Finding(
            area="libraries",
            state="broken",
            text="triton and the LLVM of Mesa's OpenGL are in one process, which may "
            "end at any time",
            advice="save your work and start napari again; if it comes back, "
            "pip uninstall triton (nothing here needs it), or leave out the plugin "
            "or script that imports it",
        )
    elif installed_version("triton"):
        yield Finding(
            area="libraries",
            state="ok",
            text="triton is kept out of this process, where Mesa's LLVM is open: "
            "together they crash",
        )


def _two_openmp() -> Iterator[Finding]:
    """Look for Intel's and LLVM's OpenMP in one process, known to hang on Linux."""
    if not sys.platform.startswith("linux"):
        return
    from threadpoolctl import threadpool_info

    loaded = {str(one.get("prefix")) for one in threadpool_info()}
    if {"libiomp", "libomp"} <= loaded:
        yield Finding(
            area="libraries",
            state="broken",
            text="the OpenMP of Intel and that of LLVM are in one process, which may "
            "hang or crash",
            advice="install numpy, scipy and torch from one source, all by pip or all "
            "by conda, in a new environment",
        )


def _amx_and_onednn(torch: str) -> Iterator[Finding]:
    try:
        number = Version(re.sub(r"\+.*", "", torch))
    except InvalidVersion:
        return
    first, end = _AMX_FAULT
    if first <= number < end and "amx_bf16" in _cpu_flags():
        yield Finding(
            area="libraries",
            state="note",
            text=f"torch {torch} on a processor with AMX: its oneDNN corrupts memory "
            "in some trainings in 16 bits; those of this package go round it",
            advice="if napari or your own scripts crash while training, set the "
            "environment variable ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16",
        )


def _cpu_flags() -> frozenset[str]:
    """Return the instructions that the processor states; none where it does not."""
    try:
        text = _CPU_FLAGS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    line = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line.group(1).split()) if line else frozenset()
