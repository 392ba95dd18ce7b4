"""One module for each command of ``napari-unet``, with a function ``run``.

Its docstring is the help of the command. The modules beside them are parts of
``finetune`` (`finetune_start`, `training_progress`) and of ``objects``
(`objects_files`, `objects_search`, `object_tables`).
"""
