"""What a model file itself holds of the training data, read off it without guessing."""
