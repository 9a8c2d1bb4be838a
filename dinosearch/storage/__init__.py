"""What rests on disk: the catalog, the segments, and what is derived from them."""
