"""Seeded commands that made the bundled models."""
