"""Step 3: strokes and labelled layers go in, a better model comes out."""
