"""The files of a run: which are read, which belong together, which are written.

`reading` opens them as the options state, `pairing` and `companions` find what belongs
to them, `tasks` plans the results, `outputs` protects what is there, `batch` counts
failures.
"""
