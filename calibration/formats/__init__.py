"""Readers of calibration files; each returns `RawCamera`s, which `convert` turns into cameras of a rig."""
