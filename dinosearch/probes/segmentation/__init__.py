"""Segmentation: a head that says of each patch what it shows, from masks or from strokes."""
