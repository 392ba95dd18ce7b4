"""Triton is kept out of processes in which another LLVM is open to all."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from unet_engine.llvm import keep_triton_out
from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.spec import ModelSpec, build

if TYPE_CHECKING:
    from pathlib import Path

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="Mesa and triton meet on Linux"
)


@pytest.fixture(autouse=True)
def _no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that the end of the test takes back what is set under test.
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "triton")


def open_to_all(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Mock(spec=names))


@linux_only
def test_triton_is_kept_out_beside_another_llvm(monkeypatch: pytest.MonkeyPatch):
    open_to_all(monkeypatch, "LLVMContextCreate")
    keep_triton_out()
    with pytest.raises(ImportError):
        __import__("triton")


def test_triton_is_left_alone_without_another_llvm(monkeypatch: pytest.MonkeyPatch):
    open_to_all(monkeypatch, "malloc")
    keep_triton_out()
    assert "triton" not in sys.modules


def test_triton_that_is_there_already_stays(monkeypatch: pytest.MonkeyPatch):
    open_to_all(monkeypatch, "LLVMContextCreate")
    monkeypatch.setitem(sys.modules, "triton", sys)
    keep_triton_out()
    assert sys.modules["triton"] is sys


@linux_only
def test_every_network_that_is_built_looks_again(monkeypatch: pytest.MonkeyPatch):
    build(ModelSpec(depth=2, width=4))
    assert "triton" not in sys.modules
    open_to_all(monkeypatch, "LLVMContextCreate")
    build(ModelSpec(depth=2, width=4))
    assert sys.modules["triton"] is None


def in_a_process(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@linux_only
def test_a_library_open_to_all_is_seen(tmp_path: Path):
    """A real library with that symbol, opened as Mesa opens its driver."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "llvm.c", tmp_path / "libllvm.so"
    source.write_text("void *LLVMContextCreate(void) { return 0; }\n")
    subprocess.run(
        [compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True
    )
    code = """
    import ctypes, sys
    from unet_engine.llvm import keep_triton_out
    for mode in ctypes.RTLD_LOCAL, ctypes.RTLD_GLOBAL:
        ctypes.CDLL(sys.argv[1], mode)
        keep_triton_out()
        print("triton" in sys.modules)
    """
    assert in_a_process(code, library).split() == ["False", "True"]


@pytest.mark.slow
def test_no_network_loads_the_compiler_of_pytorch_to_be_loaded():
    code = """
    import sys
    from unet_engine.models.architectures import ARCHITECTURES
    from unet_engine.models.fcn_trunks import FCN_FORMS
    from unet_engine.compute.loading import folded_network
    from unet_engine.models.spec import ModelSpec
    from unet_engine.models.starting import start_checkpoint

    for name, row in ARCHITECTURES.items():
        small = {"dense_width": 8} if name in FCN_FORMS else {"depth": 1}
        for ndim in row.ndims:
            spec = ModelSpec.for_architecture(name, ndim=ndim, width=2, **small)
            folded_network(start_checkpoint(spec))
        print(name, "torch._dynamo" in sys.modules)
    """
    found = in_a_process(code).split()
    assert dict(zip(found[::2], found[1::2], strict=True)) == dict.fromkeys(
        ARCHITECTURES, "False"
    )
