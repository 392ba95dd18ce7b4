"""The processes that share the steps of a training, and the first of them: this one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from unet_engine.child_processes import out_of_terminal
from unet_engine.compute.devices import kind_of
from unet_engine.errors import EngineError, SpecError
from unet_engine.training.parallel.batch_norm import share_statistics
from unet_engine.training.parallel.connection import join_group, leave_group
from unet_engine.training.parallel.shares import (
    FIRST,
    SharedStep,
    send_weights,
    share_step,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from unet_engine.models.spec import ModelSpec


_ENDING_S = 1.0
"""Seconds in which a process that has failed ends."""


def check_processes(count: int, batch: int, device: str) -> None:
    """Make sure that so many processes can share a step.

    Raises
    ------
    SpecError
        When there are fewer GPUs or crops, or the device is one GPU of several; names
        what to set.
    """
    if count == 1:
        return
    if batch < count:
        raise SpecError(
            f"a batch of {batch} crops cannot be shared by {count} processes; set "
            f"batch to {count} or more"
        )
    if device == "cpu":
        return
    if device != "cuda":
        raise SpecError(
            f"{count} processes cannot share the device {device}; set device to cuda, "
            "which takes one GPU for each, or processes to 1"
        )
    gpus = torch.cuda.device_count()
    if count > gpus:
        raise SpecError(
            f"{count} processes need as many GPUs and there are {gpus}; set processes "
            f"to {max(gpus, 1)}"
        )


class Processes:
    """Other processes that compute the gradients of a batch together with this one.

    Parameters
    ----------
    network, spec
        On this process's device.
    count
        How many processes there are, this one included.
    device
        ``"cuda"``, of which each takes one GPU, or ``"cpu"``.
    frozen
        Whether the statistics of the network stay as they are; else it gets layers that
        normalise by the crops of all processes.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        count: int,
        device: str,
        *,
        frozen: bool,
    ) -> None:
        self._network, self._spec = network, spec
        self._count, self._device, self._frozen = count, device, frozen
        self._processes: list[subprocess.Popen[str]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if not frozen:
            share_statistics(network)

    def gradients(
        self,
        images: Tensor,
        dtype: torch.dtype,
        seed: int | None,
        loss_of: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Leave the gradients of the loss of a batch in the network; return the loss.

        Parameters
        ----------
        images
            ``(N, C, *spatial)`` float32.
        dtype, seed
            As of ``forward``.
        loss_of
            Returns the loss of the logits of the whole batch.

        Raises
        ------
        EngineError
            When a process has ended; with what it wrote last.
        """
        if not self._processes:
            self._start()
        step = SharedStep(
            shape=tuple(images.shape),
            dtype=str(dtype).removeprefix("torch."),
            frozen=self._frozen,
            seed=seed,
        )
        losses: list[Tensor] = []

        def gradient_of(logits: Tensor) -> Tensor:
            leaf = logits.detach().requires_grad_()
            loss = loss_of(leaf)
            losses.append(loss.detach())
            (gradient,) = torch.autograd.grad(loss, leaf)
            return gradient

        try:
            self._order(json.dumps(step.to_dict()))
            send_weights(self._network)
            share_step(self._network, images, step, FIRST, gradient_of)
        except (RuntimeError, OSError) as error:
            why = self._why_ended()
            self.close()
            if why:
                raise self._ended(why) from error
            raise
        return losses[0]

    def close(self) -> None:
        """End the other processes, at once."""
        for process in self._processes:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            process.wait()
        if self._processes:
            leave_group()
        self._processes = []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self) -> None:
        if torch.distributed.is_initialized():
            raise EngineError(
                "another training of this program is shared by several processes; end "
                "it first, or set processes to 1"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="unet-")
        store = str(Path(self._folder.name, "store"))
        threads = max(1, torch.get_num_threads() // self._count)
        for rank in range(1, self._count):
            order = {
                "store": store,
                "rank": rank,
                "count": self._count,
                "device": f"cuda:{rank}" if kind_of(self._device) == "cuda" else "cpu",
                "threads": threads,
                "spec": self._spec.to_dict(),
                "shares_statistics": not self._frozen,
            }
            with self._errors_of(rank).open("w") as errors:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "unet_engine.training.parallel.worker"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        text=True,
                        **out_of_terminal(),
                    )
                )
            self._send(self._processes[-1], json.dumps(order))
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                why = self._why_ended()
                self.close()
                raise self._ended(why or "it did not start")
        join_group(store, FIRST, self._count, kind_of(self._device))

    def _order(self, line: str) -> None:
        for process in self._processes:
            self._send(process, line)

    @staticmethod
    def _send(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()

    def _errors_of(self, rank: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name, f"{rank}.log")

    def _why_ended(self) -> str:
        """Return what a process that ended wrote last; nothing where all are there."""
        for rank, process in enumerate(self._processes, start=1):
            with suppress(subprocess.TimeoutExpired):
                # That it is gone may be noticed here first.
                process.wait(timeout=_ENDING_S)
            if process.poll() is not None:
                lines = self._errors_of(rank).read_text("utf-8", "replace").split("\n")
                last = next((line for line in reversed(lines) if line.strip()), "")
                return last[:200] or f"exit code {process.returncode}"
        return ""

    def _ended(self, why: str) -> EngineError:
        return EngineError(
            f"one of the {self._count} processes of the training ended: {why}; "
            "set processes to 1, or use a smaller batch or crop if memory was short"
        )
