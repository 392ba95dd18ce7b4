"""Step 4: objects."""
