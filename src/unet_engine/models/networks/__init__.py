"""The networks of the papers, in torch; ``models.architectures`` lists them.

``unet_paths`` has the two paths that ``unet`` and ``autoencoder`` share, ``unet_valid``
the unpadded U-Nets, ``fcn`` and ``fcn_backbones`` the FCNs. ``stages`` and ``subpixel``
describe a padded network in stages, which ``compute.blockwise`` runs block by block.
"""
