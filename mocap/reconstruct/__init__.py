"""Robust triangulation of 2D keypoints into points, and the choice of the performer."""
