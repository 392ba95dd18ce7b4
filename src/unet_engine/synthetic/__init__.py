"""Generated images with ground truth. No torch."""
