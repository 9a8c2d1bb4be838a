"""Overview: the index as points on a map."""
