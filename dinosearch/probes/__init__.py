"""Probes: heads on stored features that say what a picture, or each patch of it, is."""
