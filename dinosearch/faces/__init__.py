"""The methods of `ImageIndex`, a file for each thing that users do with an index."""
