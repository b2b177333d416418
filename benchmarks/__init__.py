"""Side-by-side runs of aprp and its peers: what a request and a GiB cost in CPU time.

`python -m benchmarks --help` tells how to run them, `docs/benchmarks.md` what the figures mean.
"""


class BenchError(Exception):
    """The run cannot go on; the message is one line for the person who started it."""
