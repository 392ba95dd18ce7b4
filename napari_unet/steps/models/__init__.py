"""The window of the models: what is known, renamed, deleted, handed on, compared.

``dialog`` puts the parts below each other: ``model_list``, ``details``, ``actions``,
``lineage`` and ``comparison``. What is done with a model is a function of
`unet_engine.models.collection`.
"""
