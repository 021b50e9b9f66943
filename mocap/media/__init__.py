"""Video files: probing and decoding with exact presentation times."""
