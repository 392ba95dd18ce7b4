"""PNG, JPEG, BMP and GIF: ``reading`` their pixels, and their ``pixel_sizes``."""
