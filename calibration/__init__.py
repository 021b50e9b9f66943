"""Camera rigs: files of other programs, refinement from people, checks."""
