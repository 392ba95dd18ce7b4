"""What ``few_strokes.py`` is made of."""
