"""Encoder-decoder: a U-Net's two paths without the concatenations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.models.networks.unet_paths import Pyramid

if TYPE_CHECKING:
    from torch import Tensor

    from unet_engine.models.spec import ModelSpec


class Autoencoder(Pyramid):
    """Contracting and expanding path; all that is known passes the lowest level.

    Without classes in its spec it is a denoising autoencoder (Vincent et al. 2008,
    section 2.3): the network gets a corrupted image and returns the clean one. With
    classes it shows what the concatenations of a U-Net are worth. Its contracting
    path has the names and shapes of a ``UNet``'s with the same depth and width.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, joined=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, or the image, of a batch, ``(N, out_channels, *spatial)``.

        Takes ``(N, in_channels, *spatial)`` float32 with sizes as the footprint allows.
        """
        x = self.contract(x)[-1]
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(up(x))
        output: Tensor = self.head(x)
        return output
