"""Seeing what changed: two masks on one view, scores against a truth, uncertainty."""
