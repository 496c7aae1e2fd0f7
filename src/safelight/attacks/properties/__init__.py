"""Property inference: what the training records are like as a whole."""
