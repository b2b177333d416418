"""aprp: an asynchronous HTTP range proxy for media."""

__version__ = "0.1.0"
