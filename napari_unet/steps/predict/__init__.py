"""Step 1: predict."""
