"""Tunnels: bytes both ways between a client and an origin, of which nothing is looked at."""
