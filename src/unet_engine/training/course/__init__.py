"""The course of a training beside its steps: when it evaluates, decays and ends.

``schedule`` has learning rate and limits, ``gains`` finds when nothing is gained any
more, ``ranking`` which evaluation is the best; ``run_state`` holds all that.
``renewal`` gives a run the labels that were made meanwhile, ``interrupted_run`` keeps
it in a file and goes on from there; ``interfaces`` is what a run calls of them.
``trained`` makes the checkpoint with its record.
"""
