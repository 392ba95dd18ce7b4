"""What bundled models find without a stroke."""
