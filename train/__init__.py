"""Training of linear RNNs, LSTMs and Transformers on synthetic tasks and on datasets of REPL sessions.

``models`` holds the networks, ``kernels`` the recurrences that they compute, ``measure`` the metrics that training and
``eval`` share; the files here turn settings into a finished run folder.
"""
