"""What ``strokes_planes.py`` is made of."""
