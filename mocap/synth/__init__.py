"""Synthetic rigs, performers and keypoints with known truth; all randomness comes from a generator passed in."""
