"""Synchronisation: evidence from motion and sound, fused into one clock per camera."""
