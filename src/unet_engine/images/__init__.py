"""Images: opened lazily, labelled with axes, normalised as a whole, written whole.

No torch. In goes the path of a file, out comes an ``Image`` (``image``), which wraps an
array-like (numpy, dask, zarr, the pages of a TIFF) and reads one region at a time.
``opening`` finds the reader by the file's format: ``tiff``, ``zarr``, ``pictures``
(PNG, JPEG and others) or ``vendor``. ``normalisation`` measures the brightness of a
whole image and applies it to each tile, ``no_data`` finds pixels that were never
recorded, ``labels`` decides what the values of label images mean, ``folders`` pairs
images with labels, and ``writing`` writes results. Sizes of pixels are in
``pixel_size`` and ``units``.
"""

from unet_engine.images.brightness.preparation import Preparation
from unet_engine.images.channels import match_channels
from unet_engine.images.folders import Pairing, list_images, match_folders, pair_folders
from unet_engine.images.formats import IMAGE_SUFFIXES
from unet_engine.images.image import Image
from unet_engine.images.labels.reading import class_ids, read_labels
from unet_engine.images.labels.rules import LabelRule
from unet_engine.images.labels.tallies import Tally
from unet_engine.images.labels.values import decide_labels
from unet_engine.images.normalisation import Normalisation
from unet_engine.images.opening import open_image
from unet_engine.images.pixel_size import PixelSize
from unet_engine.images.writing import write_labels, write_pixels, write_probabilities
from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX, is_zarr

__all__ = [
    "IMAGE_SUFFIXES",
    "ZARR_SUFFIX",
    "Image",
    "LabelRule",
    "Normalisation",
    "Pairing",
    "PixelSize",
    "Preparation",
    "Tally",
    "class_ids",
    "decide_labels",
    "is_zarr",
    "list_images",
    "match_channels",
    "match_folders",
    "open_image",
    "pair_folders",
    "read_labels",
    "write_labels",
    "write_pixels",
    "write_probabilities",
]
