"""Fine-tuning and pretraining.

In go labelled images and a model, out come better weights. ``rounds`` is one whole
training for dock and command line: ``labelled_images`` reads images and labels into
``pairs``, ``fine_tuning`` splits them (``held_out_split``), adds ``soft_targets`` and
starts a ``run``; ``forgetting`` compares the result with its parent on
``remembered_crops``, and ``saving`` saves it. In a run the ``optimisation`` takes steps
on ``crops`` with their ``augmentation``, ``losses``, ``border_weights`` and
``optimisers``, by a ``schedule``; ``validation`` evaluates. ``pretraining`` learns from
images without labels.
"""
