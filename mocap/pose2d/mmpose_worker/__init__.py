"""What runs inside MMPose's own environment. These files are run by path there and import nothing of this program."""
