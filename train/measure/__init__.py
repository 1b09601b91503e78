"""The metrics that training and ``eval`` share, each defined once: laws of reveals, predictors and scores.

``laws`` has the probabilities of what a reveal may show; ``predictors`` answer with them; ``sessions`` has the sessions
that all predictors are asked about; ``scores`` compares a predictor's laws with the exact ones; ``tokens`` counts
losses and hits token by token; ``text_beliefs`` scores laws over texts, ``retention`` a law after a long time without
news. Intervals, files and figures are ``eval``'s.
"""
