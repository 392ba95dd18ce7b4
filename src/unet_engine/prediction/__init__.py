"""From an image to a mask: plan, tiles, output."""
