"""Where and how a network runs.

In goes a ``Checkpoint`` and a block of pixels, out come probabilities. ``devices``
chooses the device, ``loading`` builds the network, ``runner`` runs it: whole, or on a
CPU block by block (``blockwise``, ``block_threads``). ``block_size`` and
``measured_halo`` choose by measurement what runs fastest, ``calibration`` keeps what
was measured, and ``torch_errors`` turns what torch raises into the engine's errors.
"""
