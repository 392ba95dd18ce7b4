"""How the processes of a training find each other: on this machine only."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed
from torch._C._distributed_c10d import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = timedelta(seconds=120)
"""For processes that start, and in a step: far more than either takes."""

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
"""The network interface that nothing outside the machine reaches. Elsewhere PyTorch
takes the one of the machine's own name."""

_VARIABLES = "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"


def join_group(store: str, rank: int, count: int, kind: str) -> None:
    """Become one of the processes that share each step; wait for the others.

    Parameters
    ----------
    store
        A file that is not there yet, by which they find each other.
    rank, count
        Number of this process, and how many there are.
    kind
        Of their devices: ``"cuda"`` or ``"cpu"``.
    """
    # Windows has no NCCL.
    fast = kind == "cuda" and torch.distributed.is_nccl_available()
    with _on_loopback():
        torch.distributed.init_process_group(
            "nccl" if fast else "gloo",
            store=FileStore(store, count),
            rank=rank,
            world_size=count,
            timeout=_PATIENCE,
        )


def leave_group() -> None:
    """Be alone again."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _on_loopback() -> Iterator[None]:
    interface = _LOOPBACK.get(sys.platform)
    missing = [name for name in _VARIABLES if name not in os.environ]
    if interface is None:
        missing = []
    for name in missing:
        os.environ[name] = str(interface)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]
