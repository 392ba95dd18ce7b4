"""A process that computes shares of steps: ``python -m`` of this module.

Its orders are lines of JSON on its standard input, whose end ends it at once; on its
standard output it reports that it is there. All else goes between the processes.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

import torch
import torch.distributed

from unet_engine.models.spec import ModelSpec, build
from unet_engine.training.forward import FORMAT, placed
from unet_engine.training.parallel.batch_norm import share_statistics
from unet_engine.training.parallel.connection import join_group
from unet_engine.training.parallel.shares import SharedStep, send_weights, share_step


def main() -> None:
    """Work until the standard input ends."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    order = json.loads(lines.get())
    device = torch.device(order["device"])
    torch.set_num_threads(order["threads"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    network = placed(build(ModelSpec.from_dict(order["spec"])), device)
    if order["shares_statistics"]:
        share_statistics(network)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    join_group(order["store"], order["rank"], order["count"], device.type)
    while True:
        _step(network, json.loads(lines.get()), order["rank"], device)


def _step(
    network: torch.nn.Module, values: dict[str, Any], rank: int, device: torch.device
) -> None:
    step = SharedStep(**values)
    send_weights(network)
    network.zero_grad()
    images = torch.empty(
        step.shape, device=device, memory_format=FORMAT[len(step.shape)]
    )
    share_step(network, images, step, rank, torch.zeros_like)


def _listen(lines: queue.Queue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    # Whatever it waits for: the process that it works for is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
