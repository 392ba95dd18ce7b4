"""Files that appear whole or not at all (``atomic``), one lock (``locking``), and what
no result may replace (``inputs``).
"""
