"""Objects of blocks of a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.objects.splitting import split_block
from unet_engine.remote.packing import pack

if TYPE_CHECKING:
    from unet_engine.objects.splitting import SplitRule
    from unet_engine.remote.object_blocks import PackedBlock
    from unet_engine.remote.packing import Packed


def split(block: PackedBlock, rule: SplitRule) -> Packed:
    """Number the objects of a block, as ``split_block`` does."""
    return pack(split_block(block.unpacked(), rule))
