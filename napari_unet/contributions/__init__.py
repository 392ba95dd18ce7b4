"""What napari.yaml names: commands, readers and samples."""
