"""Where and how a network runs.

In goes a ``Checkpoint`` and a block of pixels, out come probabilities. ``devices``
chooses the device, ``loading`` builds the network, ``runner`` runs it: whole, or on a
CPU block by block (``blockwise``, ``block_threads``). ``block_size`` measures which
blocks are fastest, ``measured_halo`` how much of the exact halo of
``models.receptive_fields`` a trained network needs, and ``calibration`` keeps what was
measured. ``onnx_runner`` runs a network of another program by the session of
``onnx_network``. ``torch_errors`` turns what torch raises into the engine's errors.
"""
