"""What the user painted, in memory and on disk.

``Annotations`` (``annotations``) holds the touched pixels of one image in sparse
``blocks``, with the time at which each got its class (``paint_times``); every stroke,
undo and redo is an *act* that ``stroke_log`` (``StrokeLog``) appends to a file before
the next one. A file is a generation: a header, blocks and the acts after them
(``snapshot``, ``block_file``, ``records``); ``recovery`` reads what a crash left,
``syncing`` flushes to the disk. ``store`` finds the strokes of an image again;
``painted_classes`` records what their values mean.
"""
