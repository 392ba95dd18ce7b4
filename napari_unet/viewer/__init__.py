"""The only place that knows how napari works: layers, camera, canvas."""
