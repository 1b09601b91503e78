"""Evaluation of sequence models that track state or keep a belief.

``subjects`` opens finished runs, ``runs`` measures all that fits one of them, ``results`` is the schema of every
number. ``probes``, ``steering``, ``interpret`` and ``adversary`` look inside a model; ``figures`` and ``reproduce``
draw and judge the claims. It is the top of the import order: no other room imports ``eval``.
"""
