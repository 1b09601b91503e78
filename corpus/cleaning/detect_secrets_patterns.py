"""The patterns of the library ``detect-secrets``, as texts for the reader's sandbox.

The library itself is not run on what others wrote: nobody promises how long its expressions take. Its detectors of
keys with a form of their own are used; those of entropy, of keywords and of addresses have stricter ones here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import cast

LEFT_OUT = frozenset(
    (
        "BasicAuthDetector",
        "IPPublicDetector",
        "JwtTokenDetector",
        "PrivateKeyDetector",
        "KeywordDetector",
        "Base64HighEntropyString",
        "HexHighEntropyString",
    )
)
"""Detectors for whose kinds there are finders of ours."""

_FLAGS = {"i": re.IGNORECASE, "x": re.VERBOSE}


@cache
def detect_secrets_patterns() -> tuple[str, ...]:
    """The patterns, each with its flags in it."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    patterns: dict[str, None] = {}
    detectors = cast("Iterable[type[RegexBasedDetector]]", get_mapping_from_secret_type_to_class().values())
    for detector in detectors:
        if detector.__name__ in LEFT_OUT or not issubclass(detector, RegexBasedDetector):
            continue
        for pattern in detector().denylist:
            letters = "".join(letter for letter, flag in _FLAGS.items() if pattern.flags & flag)
            # the line's end closes a comment that a verbose pattern may end with
            end = "\n" if "x" in letters else ""
            patterns[f"(?{letters}:{pattern.pattern}{end})"] = None
    return tuple(patterns)
