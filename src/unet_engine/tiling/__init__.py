"""Geometry without pixels: tiles, halos and symmetries. No torch."""
