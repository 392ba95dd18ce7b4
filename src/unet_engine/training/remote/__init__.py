"""Trainings by a worker: images and strokes go out, events and models come back.

``fine_tuning`` takes the place of that of this machine; ``orders`` has what goes there
and what comes back, ``sending`` how it is packed.
"""
