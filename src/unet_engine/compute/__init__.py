"""Where a network runs: the device, the loaded network, and torch's errors in words."""
