"""Poisoning: what was put into the training data makes the model tell more of the rest."""
