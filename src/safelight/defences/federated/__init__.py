"""Federated: the records stay where they are, and what the server still sees of them."""
