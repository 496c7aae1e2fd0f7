"""Drift: do records and answers still look like those of the reference? Apart from attacks, and never an alarm."""
