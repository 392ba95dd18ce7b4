"""How bright an image is and what of its colours a model reads.

``preparation`` is what a model states about it, ``sample`` the pixels that are
measured, and ``foreground`` the brightness of objects and background; ``steps`` are
what a network of another program does instead. The optical density of a dye is in
``images.stains``; ``images.normalisation`` puts them together.
"""
