"""Datasets of traces: where snippets come from, and how rows reach the disk."""
