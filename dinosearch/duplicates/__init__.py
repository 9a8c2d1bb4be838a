"""Duplicates: which pictures are copies of each other, as wholes or in part."""
