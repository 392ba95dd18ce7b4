"""Layers that a run fills, and what the user does to them.

Events of a run go in, layers above the image come out: the mask, probabilities, a
preview, a denoised image, objects. What is painted on a mask goes into the annotations
of its image (``stroke_recorder``), and so do Accept and Clear (``acceptance``).
"""
