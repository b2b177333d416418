"""The development proxy, `aprp dev`: runs a server, passes on to it, starts it anew on changes."""
