"""Step 2: paint on the mask; Live learns from strokes, Next finds where to paint."""
