"""The kinds of job that a runner does for the tracer."""
