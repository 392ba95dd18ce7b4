"""Layers that a run fills."""
