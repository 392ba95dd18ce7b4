"""Live by a worker: pixels and strokes go out once, and the tiles of a view come back.

``learner`` takes the place of the instant learner of this machine; ``session`` keeps
the line and what was sent, ``chunks`` and ``strokes`` cut out what is new, ``orders``
has what goes there and what comes back.
"""
