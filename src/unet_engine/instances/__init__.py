"""Objects of a mask: found, split where they touch, and measured. No torch."""

from unet_engine.instances.blocks import BlockDone
from unet_engine.instances.config import ObjectConfig
from unet_engine.instances.labelling import Objects, iter_label_objects, label_objects
from unet_engine.instances.masks import SemanticMask
from unet_engine.instances.measurements import (
    describe_left_out,
    iter_measure_objects,
    measure_objects,
)
from unet_engine.instances.outputs import label_zarr, write_objects
from unet_engine.instances.planes import (
    ChannelPlanes,
    ClassPlanes,
    LabelPlanes,
    ObjectPlanes,
)
from unet_engine.instances.table import (
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
