"""The patterns of the library ``detect-secrets``, as texts for the reader's sandbox.

The library itself is not run on what others wrote: nobody promises how long its expressions take. Its detectors of
keys with a form of their own are used; those of entropy, of keywords and of addresses have stricter ones here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterable
from functools import cache
from typing import cast

from trace_mine.tracer.sandbox.private_files import kept_fact

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
    spec = importlib.util.find_spec("detect_secrets")
    assert spec is not None and spec.submodule_search_locations, "detect-secrets is a dependency of trace-mine"
    plugins = os.path.join(spec.submodule_search_locations[0], "plugins")
    # the import takes half a second
    about = (importlib.metadata.version("detect-secrets"),)
    return tuple(kept_fact("detect-secrets", about, (plugins,), _patterns))


def _patterns() -> list[str]:
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
    return [*patterns]
