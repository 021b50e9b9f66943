"""The `mocap` command: one small module per verb."""
