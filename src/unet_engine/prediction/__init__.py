"""From an image to a mask, or to a restored image.

In go an ``Image``, a ``Checkpoint`` and a ``PredictConfig`` (``config``), out comes a
``Prediction`` (``events``). ``segmentation`` and ``denoising`` are the two ways in.
They make a ``plan`` of tiles (``tile_size`` chooses how large), run it in a
``tile_loop``, which predicts tile by tile by all that the model holds
(``model_predictor``: a network by a ``tile_predictor``, pixel classifiers by those of
``pixel_classification``), and write each tile (``filling``) to an output: arrays
(``outputs``) or files (``disk_output``), where ``finished_tiles`` records what an
interrupted run has done, in a folder or as objects (``tile_records``), so that it can
resume.
"""
