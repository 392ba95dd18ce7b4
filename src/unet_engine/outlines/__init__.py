"""Object ids as outlines for other programs, and back. No torch.

In go label images, plane by plane, and out come an ``Outline`` for each object
(``labels``, by ``outline``): polygons along the edges of its pixels. ``imagej``,
``geojson`` and ``coco`` write and read them, with numbers as ``identities`` has them;
``files`` chooses among these by suffix (``suffixes``) and content, ``object_files``
among tables and label images too. Begin with ``files``.
"""

from unet_engine.outlines.files import (
    OutlineFile,
    holds_outlines,
    images_in,
    read_outlines,
    write_outlines,
)
from unet_engine.outlines.labels import iter_outlines, paint
from unet_engine.outlines.object_files import write_object_file
from unet_engine.outlines.outline import Outline
from unet_engine.outlines.suffixes import (
    OUTLINE_READ_SUFFIXES,
    OUTLINE_SUFFIXES,
    check_outline_suffix,
)

__all__ = [
    "OUTLINE_READ_SUFFIXES",
    "OUTLINE_SUFFIXES",
    "Outline",
    "OutlineFile",
    "check_outline_suffix",
    "holds_outlines",
    "images_in",
    "iter_outlines",
    "paint",
    "read_outlines",
    "write_object_file",
    "write_outlines",
]
