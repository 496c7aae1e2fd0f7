"""Safelight shows what a machine-learning model still reveals of its training data, and proves it against a control."""
