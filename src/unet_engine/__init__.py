"""Headless U-Net/FCN engine: predict in exact tiles, learn from partial labels.

Imports neither napari nor Qt; torch is imported by the rooms that run a network.
"""

__version__ = "0.1.0"
