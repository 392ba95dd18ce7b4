"""What runs in a thread."""
