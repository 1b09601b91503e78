"""What is asked of the reader ``doc``: the supervisor needs no more of it."""

EXECUTE, REPR, DESCRIBE = b"xrd"
"""Kinds of requests: run a command; the ``repr`` of a variable; its text as states have it."""
HEADER_BYTES, NONCE_BYTES = 21, 16
