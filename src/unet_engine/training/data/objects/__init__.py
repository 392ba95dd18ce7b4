"""What is learned from single objects: ids in, maps, weights and sizes out.

``object_targets`` makes the maps of labels with ids, ``corrected_objects`` those of
objects that were corrected by hand; ``border_weights`` weighs the gaps between
neighbours; ``object_sizes`` records how large objects are.
"""
