"""What lies beside a model file: crops, notes, a card (``paths``, ``notes``)."""
