"""Text to token ids, with the role and the step of every token.

``kinds`` is where to start: it fits a tokenizer on rows and loads one from a folder. ``encoded`` turns rows into arrays
of ids, roles and steps of one length. Imports of Hugging Face's libraries stand in functions, so that
``trace-tokenize --help`` answers at once. The room never imports ``corpus``: a row is a mapping to it.
"""
