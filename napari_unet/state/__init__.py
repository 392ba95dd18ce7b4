"""What is being worked on: plain objects without Qt.

``workspace`` is the state that all steps share and whose signals they follow: the
chosen image and model. ``working_image`` is an image with its mask and its strokes,
which ``saved_strokes`` finds again when the image is opened; ``same_pixels`` recognises
an image that two layers show.
"""
