"""Learn from strokes at once, and find where a correction helps most.

In goes an image with strokes, out come probabilities within a second. ``learner``
fits a ``pixel_classifier`` (random forests and a logistic regression) to the touched
pixels, whose features it has from ``pixel_classification``. ``where_to_look`` ranks the
parts of an image by the uncertainty of what was predicted.
"""
