"""PNG, JPEG, BMP and GIF."""
