"""Two copies of LLVM in one process: that of Mesa and that of PyTorch's compiler.

Mesa draws OpenGL without a GPU, and with many of them, by code that LLVM makes. It
opens its driver with ``RTLD_GLOBAL``, so that the symbols of its ``libLLVM`` are those
of the whole process. The package triton, which comes with the CUDA builds of PyTorch
for Linux, brings another LLVM under the same names. Loaded later it binds to Mesa's,
and the process dies of a segmentation fault. PyTorch imports triton when its compiler
``torch._dynamo`` is first looked at, which the optimisers in ``torch.optim`` do.
"""

from __future__ import annotations

import ctypes
import sys

_SYMBOL = "LLVMContextCreate"
"""A name that every build of ``libLLVM`` gives away."""


def keep_triton_out() -> None:
    """Make ``import triton`` fail in a process where it would crash.

    PyTorch then takes triton for not installed; nothing here compiles networks. Nothing
    happens where no LLVM is open to the whole process, such as beside NVIDIA's own
    OpenGL, and where triton was imported before. Quick enough to be called before every
    run, as it must be: a window may be opened after PyTorch was imported.
    """
    if "triton" not in sys.modules and llvm_is_open_to_all():
        sys.modules["triton"] = None  # type: ignore[assignment]


def llvm_is_open_to_all() -> bool:
    """Whether a copy of LLVM gives its symbols to the whole process, as Mesa's does."""
    if not sys.platform.startswith("linux"):
        return False
    return hasattr(ctypes.CDLL(None), _SYMBOL)
