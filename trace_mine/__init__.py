"""Runs real Python in a sandbox, writes execution traces that replay, and trains sequence models to track state."""

__version__ = "0.2.0"
