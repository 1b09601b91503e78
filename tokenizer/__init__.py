"""Text to token ids with the role and step of every token, aligned by construction.

Nothing is built here yet; it never imports ``corpus``.
"""
