"""On outputs: what an answer still holds."""
