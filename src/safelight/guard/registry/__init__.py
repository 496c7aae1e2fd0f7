"""Versions of a served model: which one an alias points at, and which one it may be moved to."""
