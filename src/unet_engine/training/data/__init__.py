"""What is learned from: images with strokes or labels become pairs, and pairs crops.

``labelled_images`` joins images with labels or ``saved_strokes`` to ``pairs``, which an
``image_source`` reads around labels or in ``painted_regions``, at the scale of the
model (``estimated_sizes``, ``scaled_strokes``); ``splits`` keeps some of the labels for
validation; ``objects`` is for labels that are object ids; ``soft_targets`` and
``teacher_targets`` are for where nobody painted; ``crops`` and ``augmentation`` make
batches; ``remembered_crops`` keeps parts of the images beside a model.
"""
