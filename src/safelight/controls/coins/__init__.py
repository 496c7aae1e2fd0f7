"""Randomised secrets: a coin a unit decides what is trained; a sound attack on a model that leaks guesses it."""
