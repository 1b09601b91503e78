"""Sends units to workers that don't share a disk with the command, and takes their results back as bytes.

A unit's payload names files and folders of the command's machine: a repository, its environment, a file of a task. Each
becomes a *bundle* (``bundle``), a stream of bytes named for its content. A worker keeps bundles in a folder of its
user's (``store``); it is sent those that its machine lacks, once, and then runs the unit with its own paths in the
place of the command's (``unit``).
"""
