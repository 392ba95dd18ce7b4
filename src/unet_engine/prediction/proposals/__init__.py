"""Which models suit an image, found by trying them on a small part of it.

In go an ``Image`` and some models, out come ``Proposals`` (``proposal``): each model
with what it finds in the part, the best first, and whether that is convincing. The
score is that of ``agreement``: a model that knows what it sees is sure of it, and finds
the same in a mirrored part and in one of another size.
"""
