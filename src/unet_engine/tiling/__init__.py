"""Geometry without pixels: where tiles lie and what they read. No torch.

In goes the shape of a plane or volume with the footprint of a network, out come tiles:
inner regions that cover the image without overlap, and the outer region each of them
reads. Read ``tiles`` first; ``symmetry`` has the flips and turns of a tile.
"""
