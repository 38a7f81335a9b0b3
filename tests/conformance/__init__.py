"""Real clients, each of its own version in its own environment, against what hfmirror leaves on disk."""
