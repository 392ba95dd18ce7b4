"""The napari plugin: everything that knows napari, Qt or magicgui."""
