"""Label images: their values, and what these mean."""
