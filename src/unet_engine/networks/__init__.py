"""The networks of the papers; ``unet_engine.spec.ARCHITECTURES`` lists them."""
