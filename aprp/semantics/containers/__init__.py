"""Media files: where the index lies that a player needs before it can seek.

`kind_of` says of what kind a file is, and `IndexSearch` finds its index from a few bytes of it.
"""

from aprp.semantics.containers.kinds import Kind, kind_of
from aprp.semantics.containers.search import MAX_LOOKS, IndexSearch

__all__ = ["MAX_LOOKS", "IndexSearch", "Kind", "kind_of"]
