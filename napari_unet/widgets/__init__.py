"""Parts that the steps are made of, for any image and any model.

``forms`` has sections and rows, ``buttons`` what fits a narrow dock, ``job_section`` a
section that starts, follows and ends a run, ``package_import`` adds models of other
programs, ``closing`` what happens to a training when napari is closed.
"""
