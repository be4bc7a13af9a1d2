"""Search inside one store: words and vectors, fused."""
