"""Linear RNNs, LSTMs and Transformers, their kernels, their training on tasks and datasets, what it is measured by."""
