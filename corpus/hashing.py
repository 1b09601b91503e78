"""Hashes that name rows and work units on disk: of JSON values, and of the code that made a row."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path


def content_key(*parts: object) -> str:
    """Return a hash of JSON values: 32 hexadecimal digits (128 bits), the same on every machine.

    Raises:
        TypeError: a part is not JSON.

    >>> content_key("task", {"a": 1, "b": 2}) == content_key("task", {"b": 2, "a": 1})
    True
    """
    # Without spaces and with sorted keys: one text for one value.
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


@cache
def code_hash() -> str:
    """Return the hash of the folders ``tracer`` and ``corpus`` of this project.

    It is a part of each unit's key, so that units which other code finished are done again.
    """
    # `__file__` lies under the link trace_mine/corpus; resolved, it lies in the folder beside `tracer`. In an installed
    # wheel both are folders of trace_mine. Either way the hashed names begin with the folder's own.
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("tracer", "corpus"):
        for path in sorted((root / folder).rglob("*.py")):
            # Null bytes part names from contents, so that moving text from one to the other is another hash.
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]
