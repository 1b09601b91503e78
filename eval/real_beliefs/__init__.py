"""``real-beliefs``: a benchmark of beliefs about programs, from games to real draws, with the exact law of each reveal.

``ladder`` names the rungs and what they are made of, ``making`` makes them by the project's own commands, ``questions``
takes reveals of their rows, ``predictors`` and ``asking`` answer them, ``scoring`` compares the answers with the exact
laws. ``docs/real-beliefs.md`` is the page for users.
"""
