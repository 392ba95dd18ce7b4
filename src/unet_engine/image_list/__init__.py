"""Image lists: the images of a piece of work, and how far each of them is.

No torch. A list is a small JSON file ``NAME.unet``, an index over what lies elsewhere:
images stay where they are, strokes in their store, models in theirs. In go paths of
images; out come entries with a state. ``entry`` is one image, ``list_file`` the file,
``image_list`` what is done with a list, ``fingerprints`` whether an image is the same
as before, ``checking`` which images moved, changed or vanished, ``finding`` the list
of an image, and ``saving`` writes a list in a thread.
"""
