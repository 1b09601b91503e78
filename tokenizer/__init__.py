"""Text to token ids with the role and step of every token, aligned by construction.

``kinds`` is where to start: fit a tokenizer, load one; ``encoded`` turns rows into arrays. Imports of Hugging Face's
libraries stand in functions, so that ``trace-tokenize --help`` answers at once. It never imports ``corpus``.
"""
