"""Sequence models with one interface: a mixer a file, fla's parameter names where fla has the model."""
