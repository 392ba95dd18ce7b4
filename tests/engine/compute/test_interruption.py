"""Tests of ending a network between two of its layers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from unet_engine.compute.interruption import (
    interruptible,
    poll,
    poll_before_layers,
)
from unet_engine.compute.runner import Runner
from unet_engine.errors import Cancelled
from unet_engine.models.spec import ModelSpec
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))


def always() -> bool:
    return True


def test_a_network_is_ended_before_the_layer_at_which_stop_is_true():
    watched = network()
    poll_before_layers(watched)
    polls: list[int] = []

    def stop() -> bool:
        polls.append(1)
        return len(polls) == 3

    with pytest.raises(Cancelled), interruptible(stop):
        watched(torch.zeros(1, 2))
    # The sequence itself, its first layer, its second.
    assert len(polls) == 3
    assert watched(torch.zeros(1, 2)).shape == (1, 2), "not stopped outside"


def test_other_networks_are_not_touched():
    watched, other = network(), network()
    poll_before_layers(watched)
    with interruptible(always):
        assert other(torch.zeros(1, 2)).shape == (1, 2)
        with pytest.raises(Cancelled):
            watched(torch.zeros(1, 2))
    assert not any(layer._forward_pre_hooks for layer in other.modules())
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_the_network_of_a_runner_polls(make_checkpoint: Callable):
    runner = Runner(make_checkpoint(ModelSpec(depth=1, width=2)), "cpu")
    assert all(layer._forward_pre_hooks for layer in runner._network.modules())


def test_an_outer_stop_survives_an_inner_one():
    outer_polls: list[bool] = []
    stopped = False

    def outer() -> bool:
        outer_polls.append(stopped)
        return stopped

    with interruptible(outer):
        with interruptible(never):
            poll()
        assert outer_polls == [False], "polled inside the inner one"
        poll()
        assert outer_polls == [False, False], "and after it"
        stopped = True
        with pytest.raises(Cancelled), interruptible(never):
            poll()
        with pytest.raises(Cancelled):
            poll()
    poll()
    assert len(outer_polls) == 4, "not after its own end"


def test_an_inner_stop_ends_with_its_block_even_after_an_error():
    with interruptible(never):
        with pytest.raises(ZeroDivisionError), interruptible(always):
            raise ZeroDivisionError
        poll()


def test_a_stop_is_that_of_its_thread():
    watched = network()
    poll_before_layers(watched)
    shapes: list[tuple[int, ...]] = []
    thread = threading.Thread(
        target=lambda: shapes.append(tuple(watched(torch.zeros(1, 2)).shape))
    )
    with interruptible(always):
        thread.start()
        thread.join()
    assert shapes == [(1, 2)]
