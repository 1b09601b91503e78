"""The code that runs inside the sandbox, beside the snippet.

These files reach the sandbox as source text (``trace_mine.tracer.sandbox.bundle``) and are never importable there by
a snippet. They import the standard library and each other only, and must run on every CPython from 3.11 on.
"""
