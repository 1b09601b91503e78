"""The code that runs in the jail in which a repository's tests are collected, beside pytest and its own code.

These files are shown there alone, without the rest of trace-mine: they import each other, pytest and the standard
library. All that they answer is checked by ``item_protocol`` outside.
"""
