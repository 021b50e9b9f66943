"""Who is who: across views and over time."""
