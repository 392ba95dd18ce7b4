"""Learn from strokes at once, and where a correction helps most."""
