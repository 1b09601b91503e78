"""Models, kernels and the trainer. Nothing is built here yet."""
