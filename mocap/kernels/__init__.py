"""Numerics: arrays in, arrays out; no I/O, no logging, no domain types."""
