"""Memory that a training step has freed stays with the process, for the next step to take.

glibc returns freed blocks of some MiB to the kernel and asks for them anew, zeroed a page at a time: 9 to 15% of a step
of the recipe ``quick`` went to page faults (docs/log.md).
"""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of parameters in glibc's malloc.h."""

KEPT_BYTES = 1 << 30
"""Free memory at the heap's end above which it is given back: over what a step of the recipes for a CPU takes."""

LARGEST_BYTES = 32 << 20
"""Blocks above this size are mapped alone, and given back when they are freed: glibc takes no larger number."""

OVERRIDES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep freed memory; return False where there is none, or where the environment decides."""
    if any(os.environ.get(name) for name in OVERRIDES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BYTES)) and bool(mallopt(TRIM_THRESHOLD, KEPT_BYTES))
