"""The synthetic origin: sessions of tasks whose law is known, so that the belief at each reveal is exact.

``automaton`` and ``game`` are the two kinds of law, ``exact_filter`` and ``game.reveal_laws`` their beliefs, ``tasks``
the registry, ``stream`` and ``origin`` the two ways out: to training, and to a dataset.
"""
