"""Learning without labels: images go in, an autoencoder comes out."""
