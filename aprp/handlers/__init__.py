"""The doors: one file for each kind of request, thin."""
