"""What is done with models in the store: rename, delete, hand on, describe, compare.

Rules for the window and the command line alike. ``renaming``, ``deletion`` and
``exchange`` change the store; ``description``, ``card`` and ``comparison`` state what
is known. Bundled models are never changed.
"""
