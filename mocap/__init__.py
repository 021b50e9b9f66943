"""Multi-camera markerless motion capture: footage of a performer in, verified character animation out."""

__version__ = "0.1.0"
