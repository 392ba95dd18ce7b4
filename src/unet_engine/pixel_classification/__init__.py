"""Features of pixels, and what fitted pixel classifiers make of them.

In go an image and the ``ClassifierPart`` of a model, out come class probabilities.
``features`` computes features by ``filters`` and by ``network_maps``, block by
block, and ``feature_cache`` keeps them. ``classifier_runner`` evaluates the classifiers
on rows of features, ``tile_classifier`` on the tiles of an image, which are the same in
every prediction.
"""
