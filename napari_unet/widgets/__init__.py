"""Parts that forms are made of."""
