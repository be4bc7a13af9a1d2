"""The vector index: a process that owns Chroma and learns from the book."""
