"""Linear RNNs, LSTMs and Transformers, their kernels, their training on tasks and datasets, and what it is measured by."""
