"""The performer's skeleton and the take-level solve for its joint angles."""
