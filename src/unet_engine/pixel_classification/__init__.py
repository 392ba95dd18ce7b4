"""Features of pixels, and what a fitted pixel classifier makes of them.

In go an image and a model, out come features and class probabilities of its pixels,
block by block. ``features`` computes features by filters and by the maps of a network;
``feature_cache`` keeps them.
"""
