"""Takes on disk: content-addressed artifacts, the stage table and its resumable runner."""
