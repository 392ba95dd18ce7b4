"""Which labels are learned from, and which are held out to evaluate on.

``held_out_split`` divides what there is at the start of a training, ``growing_split``
what comes later; ``whole_strokes`` leaves no stroke on both sides.
"""
