"""Objects of a mask: found, split where they touch, and measured. No torch."""

from unet_engine.instances.blocks import BlockDone
from unet_engine.instances.config import ObjectConfig
from unet_engine.instances.labelling import Objects, iter_label_objects, label_objects
from unet_engine.instances.masks import SemanticMask

__all__ = [
    "BlockDone",
    "ObjectConfig",
    "Objects",
    "SemanticMask",
    "iter_label_objects",
    "label_objects",
]
