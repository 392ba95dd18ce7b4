"""Steps that several processes share, one on each GPU.

In goes a batch, out come the gradients of its loss, the same as of one process.
``processes`` starts the others and asks them for each step, ``worker`` is what runs in
them, ``shares`` is the part of a step that all of them compute together, and
``batch_norm`` normalises by the statistics of the whole batch. The others keep nothing
from step to step: weights, optimiser and average are those of the first process.
"""
