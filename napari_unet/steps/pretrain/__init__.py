"""Learning without labels: images go in, a denoiser or a start comes out."""
