"""Learn from strokes at once, and find where a correction helps most.

In goes an image with strokes, out come probabilities within a second. ``features``
computes the features of pixels, by filters and by the maps of a network; ``learner``
keeps them block by block and fits a ``pixel_classifier`` (random forests and a logistic
regression) to the touched pixels. ``where_to_look`` ranks the parts of an image by the
uncertainty of what was predicted.
"""
