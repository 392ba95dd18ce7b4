"""Label images: their values, and what these mean.

``reading`` reads a file of labels, or refuses it; ``tallies`` counts its values. From
the tallies of all files and the user's ``choices`` ``values`` decides whether the
values are classes, objects or a mask, or refuses the values (``case``, ``refusals``);
the decision is a ``LabelRule`` (``rules``), which turns values into class ids.
``own_results`` recognises masks that a run wrote.
"""
