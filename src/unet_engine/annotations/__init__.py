"""What the user said of an image, as it lies on disk: blocks, and acts after them."""
