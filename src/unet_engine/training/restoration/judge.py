"""Whether a network restores images better than filters do, on pixels it has not seen.

What is judged gets images in which some held-out pixels are NaN, and is compared with
them: none can copy what it has to predict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from unet_engine.training.restoration.filters import candidates, fill_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt
    from torch import nn

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.restoration.blind_spots import Blinding
    from unet_engine.training.restoration.filters import Restorer

    Tile = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]

_LEAST_EXPLAINED = 0.01
"""Share of the variance of the held-out pixels that must be predicted: chance explains
less of noise alone, and of any image with structures far more is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Mean square errors at held-out pixels, in the normalised range of the image.

    Attributes
    ----------
    network
        Of the network.
    mean
        Of the mean of the pixels around, as large as their variance.
    filters
        Of each filter, by its name for people.
    """

    network: float
    mean: float
    filters: dict[str, float]

    @property
    def best_filter(self) -> str:
        """Name of the filter with the least error."""
        return min(self.filters, key=lambda name: self.filters[name])

    @property
    def refusal(self) -> str:
        """Return why the network is not worth keeping; nothing where it is."""
        least = min(self.network, self.filters[self.best_filter])
        if least > (1 - _LEAST_EXPLAINED) * self.mean:
            return (
                "A pixel cannot be predicted from its neighbours: this image is noise "
                "alone, or its structures are smaller than a pixel, and there is "
                "nothing to restore."
            )
        if self.network < self.filters[self.best_filter]:
            return ""
        name, error = self.best_filter, self.filters[self.best_filter]
        return (
            f"{name[0].upper()}{name[1:]} does better here: on pixels that neither saw "
            f"its mean square error is {error:.3g}, that of the network "
            f"{self.network:.3g}. Use the filter, or train longer."
        )

    @property
    def note(self) -> str:
        """One sentence of how much better the network is than the best filter."""
        error = self.filters[self.best_filter]
        return (
            f"On pixels that it has not seen the mean square error is "
            f"{self.network:.3g}; the best of the filters, {self.best_filter}, has "
            f"{error:.3g}."
        )

    def record(self) -> dict[str, Any]:
        """Return it for the history of the model."""
        best = self.best_filter
        return {
            "network": self.network,
            "mean": self.mean,
            "filter": best,
            "filter_error": self.filters[best],
        }


def judge(
    network: nn.Module,
    tiles: Iterable[Tile],
    spec: ModelSpec,
    device: str,
    blinding: Blinding,
) -> Judgement:
    """Compare a network with filters, the best setting of each on these very pixels.

    Parameters
    ----------
    network
        In evaluation mode, on ``device``.
    tiles
        ``(input_maps, Y, X)`` float32 and, ``(Y, X)`` bool, which of the pixels were
        held out.
    spec, device
        Of the network, and where it is.
    blinding
        What is hidden.
    """
    restorers = {each.name: each.restore for each in candidates(spec.slices)}
    restorers[""] = of_network(network, device)
    stacks = (
        (image.reshape(spec.slices, spec.in_channels, *image.shape[1:]), known)
        for image, known in tiles
    )
    errors, variance = held_out_errors(restorers, stacks, blinding)
    return Judgement(network=errors.pop(""), mean=variance, filters=errors)


def held_out_errors(
    restorers: Mapping[str, Restorer], stacks: Iterable[Tile], blinding: Blinding
) -> tuple[dict[str, float], float]:
    """Measure what restores images on pixels that are hidden from it.

    Parameters
    ----------
    restorers
        By their names.
    stacks
        ``(slices, C, Y, X)`` float32 and, ``(Y, X)`` bool, which pixels of the middle
        may be hidden.
    blinding
        What is hidden.

    Returns
    -------
    errors, variance
        Mean square errors by name, and the variance of the hidden pixels.
    """
    squares = dict.fromkeys(restorers, 0.0)
    seen: list[npt.NDArray[np.float32]] = []
    chance = np.random.default_rng(0)
    for stack, known in stacks:
        hidden, spots = hide(stack, known, chance, blinding)
        truth = stack[len(stack) // 2][:, spots]
        for name, restore in restorers.items():
            found = restore(hidden)[:, spots]
            squares[name] += float(((found - truth) ** 2).sum(dtype=np.float64))
        seen.append(truth.ravel())
    values = np.concatenate(seen) if seen else np.zeros(0, np.float32)
    count = max(1, values.size)
    errors = {name: value / count for name, value in squares.items()}
    return errors, float(values.var(dtype=np.float64)) if values.size else 0.0


def hide(
    stack: npt.NDArray[np.float32],
    known: npt.NDArray[np.bool_],
    chance: np.random.Generator,
    blinding: Blinding,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Make some pixels of the middle slice NaN, in all of its channels.

    Parameters
    ----------
    stack
        ``(slices, C, Y, X)``; not changed.
    known
        ``(Y, X)``, the pixels that may be hidden.
    chance
        Chooses them.
    blinding
        How many, and what is hidden around them.

    Returns
    -------
    hidden, spots
        The stack, and ``(Y, X)`` bool, the spots themselves.
    """
    spots = (chance.random(known.shape) < blinding.spots) & known
    edge = 2 * blinding.margin + 1
    hidden = stack.copy()
    hidden[len(stack) // 2][:, ndimage.maximum_filter(spots, edge)] = np.nan
    return hidden, spots


def of_network(network: nn.Module, device: str) -> Restorer:
    """Return what restores a slice with hidden pixels by a network.

    Hidden pixels are filled with the mean of those around.
    """

    def restore(stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        filled = stack.copy()
        middle = len(stack) // 2
        filled[middle] = fill_hidden(stack[middle])
        batch = torch.from_numpy(filled.reshape(1, -1, *stack.shape[2:]))
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = network(batch.to(device)).cpu().numpy()[0]
        return found

    return restore
