"""Who decides the outcome of a random draw, and the patched primitives that ask."""
