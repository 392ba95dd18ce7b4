"""Zarr arrays and OME-Zarr images.

``ome_zarr`` opens them lazily, in folders or, by ``addresses``, in the network; by
``chunks``, which refuses missing and damaged chunks and keeps those that were used
last. ``writing`` makes an OME-Zarr image whose full resolution is filled region by
region; ``storage`` does what both need at a path or an address, where ``retrying`` has
patience; ``label_group`` names label images in the OME-Zarr of their image.
"""
