"""Files that appear whole or not at all (``atomic``), and one lock (``locking``)."""
