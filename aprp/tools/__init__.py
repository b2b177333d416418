"""What people do from the command line beside serving: `aprp cache`, `aprp sign`."""
