"""Objects of a mask: found, split where they touch, and measured. No torch.

In goes a ``SemanticMask`` (``class_mask``), an array of class ids that may be larger
than memory and is read in the blocks of a ``BlockGrid`` (``blocks``). ``labelling``
finds the objects of each block, by ``components`` or ``watershed`` as ``config`` names,
and joins them by ``stitching``; ``outputs`` writes them. ``measurements`` makes a table
of them from ``block_sums``, ``shapes`` and ``intensities``, which ``table`` writes.
"""

from unet_engine.objects.blocks import BlockDone
from unet_engine.objects.class_mask import SemanticMask
from unet_engine.objects.config import ObjectConfig
from unet_engine.objects.image_planes import (
    ChannelPlanes,
    ClassPlanes,
    LabelPlanes,
    ObjectPlanes,
)
from unet_engine.objects.labelling import Objects, iter_label_objects, label_objects
from unet_engine.objects.measurements import (
    describe_left_out,
    iter_measure_objects,
    measure_objects,
)
from unet_engine.objects.outputs import label_zarr, write_objects
from unet_engine.objects.table import (
    check_table_suffix,
    join_tables,
    read_joined_table,
    write_table,
)

__all__ = [
    "BlockDone",
    "ChannelPlanes",
    "ClassPlanes",
    "LabelPlanes",
    "ObjectConfig",
    "ObjectPlanes",
    "Objects",
    "SemanticMask",
    "check_table_suffix",
    "describe_left_out",
    "iter_label_objects",
    "iter_measure_objects",
    "join_tables",
    "label_objects",
    "label_zarr",
    "measure_objects",
    "read_joined_table",
    "write_objects",
    "write_table",
]
