"""Shows a dataset: as a page that needs nothing else, and as text."""
