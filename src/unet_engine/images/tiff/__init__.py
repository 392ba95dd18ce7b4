"""TIFF files: what they promise, hold and mean."""
