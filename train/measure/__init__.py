"""What training and evaluation measure with, each definition once: laws of reveals, who predicts them, and scores.

``laws`` are probabilities of what a reveal may show; ``predictors`` answer with them; ``sessions`` hold what all
predictors are asked about; ``scores`` compares a predictor's laws with the exact ones; ``tokens`` counts losses and
hits token by token; ``text_beliefs`` and ``retention`` ask for laws where a single label is not enough. Nothing here
knows of intervals, files or figures: those are ``eval``'s.
"""
