"""2D keypoints: estimators, their model files, and readers of other programs' keypoint files."""
