"""What people do with the cache from the command line: `aprp cache`."""
