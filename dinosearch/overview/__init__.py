"""The overview: a place in the plane for every picture of an index."""
