"""Features in, judged and registered models out."""
