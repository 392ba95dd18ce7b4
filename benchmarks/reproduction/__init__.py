"""What ``reproduce.py`` runs: data, networks, rows and the table they end in."""
