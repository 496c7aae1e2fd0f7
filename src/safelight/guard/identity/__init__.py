"""Who asks: by a key, a token of an identity provider, or a certificate. Exactly one proof, or nobody."""
