"""The reader's side: questions about an index, and their answers."""
