"""How napari works: layers, camera, canvas, brush. Nothing above depends on it.

``conversion`` turns layers into images of the engine and masks into layers;
``viewport`` and ``visibility`` return what is on screen; ``brush`` follows a stroke
that is being drawn.
"""
