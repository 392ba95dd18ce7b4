"""A project, its list of images with what was done, becomes a report on one page.

``learning_curve`` has the rounds of training of a model in rows, from its lineage;
``painted`` counts the strokes on the images of a list; ``pictures`` predicts parts of
some of them; ``methods`` writes the paragraph for a paper with what it cites (from
``literature``); ``project`` puts them together as a ``ProjectReport`` (``contents``),
and ``page`` makes one HTML file of it, which holds its pictures, a ``curve_drawing``
among them, and runs nothing.
"""
