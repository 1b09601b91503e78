"""Formats: ways to write a trace as text, one in each file. The trace itself is the record of what happened.

To add a format, write a file with a ``Format`` and enter it in ``registry``.
"""
