"""Origins, and how bytes come from them."""
