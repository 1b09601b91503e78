"""Accuracy, belief metrics, probes and figures. Nothing is built here yet."""
