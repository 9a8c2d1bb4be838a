"""Copies: equal files, equal pixels, near copies, crops; what to keep; plans and undo."""
