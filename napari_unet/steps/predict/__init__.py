"""Step 1: image, model and settings go in; a mask or a denoised image comes out."""
