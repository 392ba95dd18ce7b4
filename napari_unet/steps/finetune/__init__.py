"""Step 3: fine-tune."""
