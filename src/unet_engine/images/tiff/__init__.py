"""TIFF files: opened lazily, checked, and written.

``reading`` opens a file: ``completeness`` checks that it holds all that its metadata
describe, ``series`` chooses which of its images, ``pages`` decodes its strips and
tiles, ``pixel_sizes`` finds the size of a pixel. ``writing`` writes large ones with the
tags of ``options``.
"""
