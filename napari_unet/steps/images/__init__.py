"""The list of images: its rows, what is shown of it, and what follows the work."""
