"""Which files are images: by the ends of their names."""

from __future__ import annotations

from importlib.util import find_spec

from unet_engine.images.pictures.reading import PICTURE_SUFFIXES

TIFF_SUFFIXES = (".tif", ".tiff")
"""Of the TIFF files that are written."""

TIFF_READ_SUFFIXES = (
    *TIFF_SUFFIXES,
    *(".btf", ".tf2", ".tf8", ".ptif", ".ptiff", ".lsm", ".stk", ".flex"),
    *(".svs", ".scn", ".ndpi", ".qptiff", ".zif", ".gel"),
)
"""TIFF by other names: large ones, pyramids, microscopes, slides."""

VENDOR_SUFFIXES = (
    *(".czi", ".nd2", ".lif", ".lof", ".xlif", ".oib", ".oif", ".oir", ".vsi", ".ets"),
    *(".ims", ".dv", ".r3d", ".zvi", ".sld", ".sldy", ".ipl", ".ipw", ".liff", ".mvd2"),
    *(".lei", ".nd", ".htd", ".l2d", ".afi", ".mrxs", ".bif", ".ics", ".ids", ".mrc"),
)
"""Read by bioio and its plugins."""

OTHER_SUFFIXES = (
    *(".webp", ".jp2", ".j2k", ".jxl", ".jxr", ".heic", ".avif", ".psd", ".xcf"),
    *(".dcm", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".h5", ".hdf5", ".n5", ".npy"),
    *(".npz", ".dng", ".cr2", ".nef", ".arw", ".exr", ".pgm", ".ppm", ".pbm", ".pnm"),
    *(".tga", ".svg", ".avi", ".mp4", ".mov", ".eer", ".seq", ".fits"),
)
"""Of images that are not read."""

IMAGE_SUFFIXES = (*TIFF_READ_SUFFIXES, *PICTURE_SUFFIXES)
"""Of files that are read without anything else installed."""

UNFINISHED = ".napari-unet-run"
"""Folder in a zarr whose prediction has not ended: missing chunks are not empty."""

ARCHIVE_SUFFIXES = (".gz", ".zip", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz", ".zst")
"""Of files that hold others."""

BIOIO_ADVICE = 'pip install "napari-unet-finetune[bioio]"'


def has_bioio() -> bool:
    """Whether the optional package for formats of vendors is installed."""
    return find_spec("bioio") is not None


def read_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files that can be read with what is installed."""
    return (*IMAGE_SUFFIXES, *(VENDOR_SUFFIXES if has_bioio() else ()))
