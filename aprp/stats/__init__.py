"""Counters and what is told of them."""
