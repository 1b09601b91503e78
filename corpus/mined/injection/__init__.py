"""Draws put into real programs: edits of functions, scripts and tests, with laws that are known."""
