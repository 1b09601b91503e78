"""Finds problems of public benchmarks in what is mined, by an index of hashes."""
