"""The code that runs in the jail in which a repository's calls are harvested, beside its own code.

These files are shown there alone, without the rest of trace-mine: they import each other, pytest where the repository
has it, and the standard library. All that they answer is checked by ``harvest_protocol`` outside.
"""
