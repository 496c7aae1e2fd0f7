"""Compression: smaller models, and what they still tell."""
