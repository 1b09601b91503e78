"""Calls as a repository's own tests, doctests and scripts make them: each a snippet of its own."""
