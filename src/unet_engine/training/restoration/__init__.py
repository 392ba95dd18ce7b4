"""Learning to restore images from their own pixels, and judging what was learned."""
