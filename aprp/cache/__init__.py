"""The slice cache: bytes of representations in files that all workers map, and an index of them."""
