"""What is learned from: images with strokes or labels become pairs, and pairs crops.

``labelled_images`` joins images with labels or ``saved_strokes`` to ``pairs``;
``held_out_split`` keeps some of them for validation, ``growing_split`` of what comes
later too; ``soft_targets`` and ``teacher_targets`` are for where nobody painted;
``crops``, ``augmentation`` and ``border_weights`` make batches; ``remembered_crops``
keeps parts of the images beside a model.
"""
