"""The networks of the papers; ``unet_engine.models.spec.ARCHITECTURES`` lists them."""
