"""The window in which a new model is described: network, classes, start."""
