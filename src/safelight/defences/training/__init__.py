"""In training: what is learnt, and from what."""
