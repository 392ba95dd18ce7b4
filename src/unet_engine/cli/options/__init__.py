"""Options that commands share, as frozen dataclasses with the help in their docstrings.

`parameters` has their types and makes options of the settings of a run; `data` is how
images and labels are read, `training` what a training starts from and leads to
(``--from``, ``--out``), `objects` all of ``napari-unet objects``, `models` all of
``napari-unet models``.
"""
