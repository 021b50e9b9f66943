"""Animation and point files, and the table that lists them. Every export is read back before it is kept."""
