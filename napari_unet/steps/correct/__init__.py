"""Step 2: correct."""
