"""Attacks that copy the model itself: from its answers to a model that answers the same."""
