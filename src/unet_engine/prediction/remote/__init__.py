"""Predictions by workers: the pixels of a tile go out, and its mask comes back.

``predictor`` takes the place of the predictors of this machine; ``run_there`` has
workers ready for its tiles, ``pixels`` cuts out what a tile is made from, ``orders``
has what goes there and what comes back. Where workers see image and results
(``storage``), a batch of tiles (``tile_batches``) goes out and a receipt comes back.
"""
