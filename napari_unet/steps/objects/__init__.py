"""Step 4: a mask goes in; numbered objects and a table of measurements come out."""
