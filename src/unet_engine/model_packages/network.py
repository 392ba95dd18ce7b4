"""The network of a package: from brightness on the scale of the model to probabilities.

Other programs that have this package import `probability_network` by its name, which
stands in every package: it stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from unet_engine.compute.activation import activated
from unet_engine.models.spec import ModelSpec, build

if TYPE_CHECKING:
    from torch import Tensor

IMPORT_FROM = "unet_engine.model_packages.network"
"""Where other programs import the network from; it is in every package."""

CALLABLE = "probability_network"
"""The function that they call."""

PREFIX = "network."
"""Of the names of the weights in a package."""


class ProbabilityNetwork(nn.Module):
    """A network and what makes probabilities and object maps of its output.

    Parameters
    ----------
    network
        As ``models.spec.build`` returns it.
    spec
        Of the network.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(N, out_channels, *spatial)`` of ``(N, in_channels, *spatial)``."""
        return activated(self.network(image), self.spec)


def probability_network(spec: dict[str, Any]) -> ProbabilityNetwork:
    """Build the network of a package, with fresh weights.

    Parameters
    ----------
    spec
        As ``ModelSpec.to_dict`` returns it.
    """
    described = ModelSpec.from_dict(spec)
    return ProbabilityNetwork(build(described), described)
