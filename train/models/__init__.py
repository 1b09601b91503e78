"""Sequence models with one interface: forward over time, in pieces with a carry, and one step at a time.

Each mixer (the part of a layer that mixes over time) has a file; ``layers`` has what they share, ``language_model`` the
blocks and the model around them, ``registry`` all models by name. Parameters and keys have flash-linear-attention's
(fla's) names where fla has the model, so that checkpoints load both ways (docs/decisions/0006).
"""
