"""What napari.yaml names: commands, readers and sample data.

napari calls these functions with paths or with nothing; they return layers or open the
dock. Start with ``commands``, which also opens the dock for the readers and the demo.
"""
