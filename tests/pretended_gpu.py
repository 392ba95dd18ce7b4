"""A GPU that is not there: tensors that say they are on it, with memory on the CPU.

What would fail on a GPU because its tensors are on two devices, or because a tensor of
the GPU is read as if it were memory, fails here as well, and what is right on the CPU
is right here. It shows neither what a GPU rounds otherwise nor what it lacks.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

if TYPE_CHECKING:
    from collections.abc import Iterator

_GPU = torch.device("cuda:0")
_CPU = torch.device("cpu")
_ATEN = torch.ops.aten


class OnGpu(torch.Tensor):
    """A tensor of the GPU.

    Attributes
    ----------
    held
        Its values on the CPU.
    """

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        """Wrap a tensor of the CPU."""
        # Of the CPU for PyTorch itself: its autograd asks the driver about others.
        wrapper: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_CPU,
            requires_grad=held.requires_grad,
        )
        wrapper.held = held
        return wrapper

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Say that it is on the GPU."""
        return _GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        """Say that it is on the GPU."""
        return True

    def __repr__(self, **_: Any) -> str:
        """Show the values."""
        return f"OnGpu({self.held!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Compute on the CPU what is all on the GPU."""
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    on_gpu = _are_on_gpu(func, args, kwargs)
    place = kwargs.get("device")
    name = func.overloadpacket.__name__
    if on_gpu and (name.endswith("_like") or name.startswith("new_")):
        # Where PyTorch believes the other one to be.
        place = _GPU
    if place is not None and torch.device(place).type == "cuda":
        kwargs = {**kwargs, "device": _CPU}
    found = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if not (on_gpu if place is None else torch.device(place).type == "cuda"):
        return found
    if func is _ATEN._to_copy.default and found is args[0]:
        found = found.clone()
    wrapped = tree_map(lambda t: OnGpu(t) if isinstance(t, torch.Tensor) else t, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _are_on_gpu(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return where the result is, and refuse tensors of two devices."""
    flat, _ = tree_flatten((args, kwargs))
    # A number on the CPU may meet tensors of the GPU.
    sized = [t for t in flat if isinstance(t, torch.Tensor) and t.ndim]
    there = [isinstance(tensor, OnGpu) for tensor in sized]
    if func is _ATEN.copy_.default:
        return isinstance(args[0], OnGpu)
    if len(set(there)) > 1:
        raise RuntimeError(
            f"{func}: expected all tensors to be on the same device, but found at "
            "least two devices, cuda:0 and cpu"
        )
    return any(isinstance(tensor, OnGpu) for tensor in flat)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


class _Factories(TorchDispatchMode):
    """Makes tensors on the GPU where that is asked for."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class _Moves(TorchFunctionMode):
    """Does what PyTorch decides by the device before it asks for an operation."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args = [_numbered(value) for value in args]
        kwargs = {name: _numbered(value) for name, value in (kwargs or {}).items()}
        if args and isinstance(args[0], OnGpu):
            if func is torch.Tensor.numpy:
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            if func is torch.Tensor.cpu or (
                func is torch.Tensor.to and _names(_CPU, [*args[1:], *kwargs.values()])
            ):
                return _ATEN._to_copy.default(args[0], device=_CPU)
            if func is torch.nn.functional.one_hot:
                # It makes a tensor where PyTorch believes the classes to be.
                return OnGpu(func(args[0].held, *args[1:], **kwargs))
            if func is torch.Tensor.to and not _changes(args, kwargs):
                return args[0]
        found = func(*args, **kwargs)
        if func is torch.Tensor.data.__set__ and isinstance(args[0], OnGpu):
            args[0].held = args[1].held
        return found


def _numbered(value: Any) -> Any:
    """Give the GPU its number, which PyTorch would ask the driver for."""
    if isinstance(value, (str, torch.device)) and str(value) == "cuda":
        return _GPU
    return value


def _names(device: torch.device, values: list[Any]) -> bool:
    return any(
        isinstance(value, (str, torch.device)) and torch.device(value) == device
        for value in values
    )


def _changes(args: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether ``Tensor.to`` asks for more than the GPU, where the tensor is."""
    rest = [v for v in [*args[1:], *kwargs.values()] if v is not None]
    return any(
        not isinstance(v, (bool, torch.device)) and v != args[0].dtype for v in rest
    )


_run = Thread.run


def _run_thread(thread: Thread) -> None:
    # PyTorch's modes are those of a thread.
    with _Moves(), _Factories():
        _run(thread)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Let ``cuda`` be a device."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    # A weight that only changed its data would still be one of the CPU.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with (
            patch.object(torch.cuda, "_lazy_init", lambda: None),
            # Tensors made there cannot be wrapped.
            patch.object(torch, "inference_mode", torch.no_grad),
            patch.object(Thread, "run", _run_thread),
            _Moves(),
            _Factories(),
        ):
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
