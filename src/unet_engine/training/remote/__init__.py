"""Trainings by a worker: images and strokes go out, events and models come back.

``training`` takes the place of that of this machine, and ``fine_tuning`` of that on
labels; ``orders`` has what goes there and what comes back, ``sending`` how it is
packed.
"""
