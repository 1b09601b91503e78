"""Datasets of traces: two origins of rows (``mined``, ``synthetic``), and all that turns their rows into a folder that
``datasets.load_dataset`` reads.
"""
