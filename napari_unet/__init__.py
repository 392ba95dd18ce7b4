"""The napari plugin: all code that imports napari, Qt or magicgui.

An image layer becomes an image of the engine (``viewer``), is kept with its strokes
(``state``), processed in a thread (``jobs``) and shown in result layers (``results``).
``dock`` puts the ``steps`` below each other, which are made of ``widgets``; napari
finds all of it by ``contributions``. ``demo`` opens a window with an example.
"""
