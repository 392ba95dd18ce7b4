"""Generated images with ground truth, for samples, tests and training. No torch.

In goes a seed, out come an image and its labels. ``nuclei`` generates fluorescence
images of nuclei in planes and volumes; ``scenes`` fifteen families of microscopy, from
which the bundled model of planes learned.
"""
