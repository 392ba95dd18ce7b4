"""The window that applies model and settings to many images.

`form` is which images and what of them, `image_rows` how far each is, `dialog` the
window, `distributions` the plot of the objects, `object_on_screen` goes to one.
"""
