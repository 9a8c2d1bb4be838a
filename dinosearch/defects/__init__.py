"""Defects: what is unlike everything normal, learned from normal pictures alone."""
