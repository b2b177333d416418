"""What runs at this moment, over all workers: gathered only while somebody looks."""
