"""Fine-tuning and pretraining.

In go labelled images and a model, out come better weights. ``rounds`` is one whole
training for dock and command line: ``data`` makes pairs of images and labels,
``fine_tuning`` starts a ``run``, ``forgetting`` compares the result with its parent,
and ``saving`` saves it. In a run the ``optimisation`` takes steps on crops with their
``losses`` and ``optimisers``; ``course`` has when it evaluates and ends, and what is
kept of it; ``config`` has the settings; ``validation`` evaluates on held-out pixels,
``evaluation`` on other images; ``score_line`` puts the score of a mask in words.
``pretraining`` learns from images without labels.
"""
