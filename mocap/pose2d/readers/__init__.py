"""Readers of other programs' 2D keypoint files; each returns `RawKeypoints`."""
