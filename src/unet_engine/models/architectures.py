"""``ARCHITECTURES``: the networks there are, and their geometry, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unet_engine.models import fcn_trunks
from unet_engine.models import receptive_fields as geometry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unet_engine.models.receptive_fields import NetworkDescription
    from unet_engine.tiling.tiles import Footprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A row of the table of networks.

    Attributes
    ----------
    title
        Its name for people.
    network
        ``"module:Class"`` under ``unet_engine.models.networks``; the class takes
        the spec.
    footprint
        Halo and allowed input sizes for a spec.
    largest_layer
        Weights of the largest convolution for a spec.
    ndims
        Dimensionalities it can be built for.
    reference
        The paper it comes from.
    depth, width
        As in the paper, or what is usual.
    fixed_depth
        No other depth can be built.
    padded
        The output is as large as the input; else smaller by twice the halo.
    reconstructs
        It can return an image instead of classes.
    image_network
        As ``network``, where that is another one for images; empty: the same.
    object_maps
        It can give object maps beside the classes.
    averages_flips
        Its paper predicts the mean over flips and turns.
    recipe
        Fields of ``FineTuneConfig`` that its paper sets otherwise than is usual here.
    transfer_recipe
        The same for a start from ImageNet, a coarser network or the features of
        another one, which need less training.
    """

    title: str
    network: str
    footprint: Callable[[NetworkDescription], Footprint]
    largest_layer: Callable[[NetworkDescription], int] = geometry.largest_level
    ndims: tuple[int, ...]
    reference: str
    depth: int = 4
    width: int = 16
    fixed_depth: bool = False
    padded: bool = True
    reconstructs: bool = False
    image_network: str = ""
    object_maps: bool = False
    averages_flips: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    transfer_recipe: Mapping[str, Any] = field(default_factory=dict)

    def network_for(self, classes: tuple[str, ...]) -> str:
        """Return the network, of these classes or, without any, of images."""
        return self.network if classes or not self.image_network else self.image_network

    def recipe_for(self, *, transfer: bool) -> dict[str, Any]:
        """Return the fields of ``FineTuneConfig`` that are set otherwise than usual.

        Parameters
        ----------
        transfer
            Whether the weights to start from have learned something already.
        """
        return {**self.recipe, **(self.transfer_recipe if transfer else {})}

    def depth_for(self, ndim: int) -> int:
        """Return the usual number of poolings.

        In 3-D at most the three of Çiçek et al. 2016, section 2: of a crop that a
        computer can learn from, a fourth one would leave next to nothing.
        """
        return self.depth if ndim == 2 else min(self.depth, 3)


_UNNORMALISED_RATE = 1e-4
"""Learning rate of AdamW, a tenth of the usual one."""


def _fcn(form: fcn_trunks.FCNForm) -> Architecture:
    trunk = {"vgg16": "VGG-16", "alexnet": "AlexNet"}[form.trunk]
    published = form.trunk == "vgg16" or form.stride == 32
    return Architecture(
        title=f"FCN-{form.stride}s, {trunk}",
        network="fcn:FCN",
        footprint=fcn_trunks.fcn_footprint,
        largest_layer=fcn_trunks.largest_dense,
        ndims=(2,),
        reference="Long, Shelhamer, Darrell 2015, section 4.2"
        + ("" if published else "; the skips carried over to AlexNet"),
        depth=fcn_trunks.FCN_DEPTH,
        width=64,
        fixed_depth=True,
        # Long et al. 2015, section 4.3, use 1e-4 for VGG-16 and 1e-3 for AlexNet, of
        # SGD from a trained trunk. There are no normalisation layers: from random
        # weights AdamW at 1e-3 took the loss of FCN-8s on AlexNet from 0.9 to 4.1 in
        # three steps, and that on VGG-16 from 0.7 to 2.2.
        recipe={"learning_rate": _UNNORMALISED_RATE},
        transfer_recipe={"learning_rate": _UNNORMALISED_RATE},
    )


ARCHITECTURES: dict[str, Architecture] = {
    "unet": Architecture(
        title="U-Net",
        network="unet:UNet",
        footprint=geometry.padded_footprint,
        ndims=(2, 3),
        reference="Ronneberger, Fischer, Brox 2015 and, in 3-D, Çiçek et al. 2016; "
        "padded and batch-normalised",
        reconstructs=True,
        image_network="restoring:RestoringUNet",
        object_maps=True,
        # Strokes are few: each counts for the training, and plain crops are quick.
        transfer_recipe={"dice": False, "elastic": 0.0, "validation": 0.1},
    ),
    "unet-valid": Architecture(
        title="U-Net as published (unpadded)",
        network="unet_valid:ValidUNet",
        footprint=geometry.valid_footprint,
        ndims=(2,),
        reference="Ronneberger, Fischer, Brox 2015, section 2",
        width=64,
        padded=False,
        averages_flips=True,
        # Section 3. The rate suits a loss that is a mean over the pixels.
        recipe={
            "optimiser": "sgd",
            "learning_rate": 1e-3,
            "batch": 1,
            "crop": 388,
            "scaling": 1.0,
            "border_weight": 10.0,
            "dice": False,
        },
    ),
    "unet3d-valid": Architecture(
        title="3-D U-Net as published (unpadded)",
        network="unet_valid:ValidUNet3D",
        footprint=geometry.valid_footprint,
        ndims=(3,),
        reference="Çiçek et al. 2016, section 2",
        depth=3,
        width=32,
        padded=False,
        # The margin is some fifty times the crop, so a step takes one crop. Its
        # statistics alone normalise: at 1e-3 and the published width the loss went
        # from 0.8 to 25 in two steps. The paper does not give its rate.
        recipe={"batch": 1, "learning_rate": 1e-4},
    ),
    "autoencoder": Architecture(
        title="Encoder-decoder without skips",
        network="autoencoder:Autoencoder",
        footprint=geometry.padded_footprint,
        ndims=(2, 3),
        reference="Vincent et al. 2008, section 2.3, on the two paths of a U-Net",
        reconstructs=True,
    ),
    **{name: _fcn(form) for name, form in fcn_trunks.FCN_FORMS.items()},
}


IMPORTED = Architecture(
    title="network of another program",
    network="",
    footprint=lambda spec: spec.imported.footprint,  # type: ignore[attr-defined]
    largest_layer=lambda _: 0,
    ndims=(2, 3),
    reference="the page of its package",
    # Of a usual U-Net: how much memory it takes is not known.
    width=64,
)
"""The row of those that are run as they are, and not built here."""

IMPORTED_NAME = "imported"
"""How a spec names that row, which is not among those to choose from."""


def row_for(architecture: str) -> Architecture:
    """Return the row of an architecture that there is, that of imported ones too."""
    return IMPORTED if architecture == IMPORTED_NAME else ARCHITECTURES[architecture]


def shares_features(architecture: str, parent: NetworkDescription) -> bool:
    """Whether a new network may be the parent with another last layer."""
    same = architecture == parent.architecture
    return same and ARCHITECTURES[architecture].network.startswith(
        ("unet:", "unet_valid:")
    )


SAME_PATH = ("unet", "autoencoder")
"""Networks with the contracting path that is learned without labels."""


def starts_from(architecture: str, parent: NetworkDescription) -> bool:
    """Whether a new network of an architecture can take over weights of a model.

    It can from one that was pretrained without labels, from a U-Net of other classes
    and, an FCN, from the next coarser one on the same trunk; see ``models.starting``.
    """
    if not parent.classes:
        # One that restores images has other inputs.
        return architecture in SAME_PATH and parent.architecture == "autoencoder"
    if shares_features(architecture, parent):
        return True
    finer = fcn_trunks.FCN_FORMS.get(architecture)
    coarser = fcn_trunks.FCN_FORMS.get(parent.architecture)
    if finer is None or coarser is None:
        return False
    return finer.trunk == coarser.trunk and 2 * finer.stride == coarser.stride
