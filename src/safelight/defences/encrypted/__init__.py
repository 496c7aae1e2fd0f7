"""Encrypted: the model is asked without anybody seeing the question or the weights.

Encrypted inference protects the input and the weights on their way through other people's machines. It does not change
what the answers reveal: whoever may read them learns what they would learn anyway.
"""
