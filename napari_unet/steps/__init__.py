"""The steps of the dock, one folder each, in the order of the work.

``predict`` and ``correct`` and ``finetune`` are repeated until the mask is good, then
come ``objects``; ``pretrain`` and ``new_model`` make a network to begin with. In each,
``section`` is the part of the dock, ``form`` its fields.
"""
