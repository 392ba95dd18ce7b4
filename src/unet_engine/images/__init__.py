"""Images: opened lazily, labelled with axes, normalised as a whole, written whole.

No torch. An ``Image`` wraps any array-like (numpy, dask, zarr, the pages of a TIFF) and
reads only the region it is asked for.
"""

from unet_engine.images.files import open_image
from unet_engine.images.image import Image, match_channels
from unet_engine.images.normalisation import Normalisation

__all__ = [
    "Image",
    "Normalisation",
    "match_channels",
    "open_image",
]
