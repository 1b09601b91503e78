"""Ways to write a trace as text. The trace is the record of what happened; each file here is one rendering of it.

To add one: a file with a ``Format``, and its entry in ``registry``.
"""
