"""Attack a model behind its guard, and say what leaked, what was noticed, and when."""
