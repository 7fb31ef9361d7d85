"""A song's way from its source to its stems."""
