"""The steps of the dock, one folder each."""
