"""A small package with relative imports, for ``tests/tracer/test_samples.py``."""
