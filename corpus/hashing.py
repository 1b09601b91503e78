"""Hashes that name things on disk: of JSON values, and of the code that a row depends on."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path


def content_key(*parts: object) -> str:
    """A 32-digit hexadecimal hash of JSON values, the same on every machine.

    Raises:
        TypeError: a part is not JSON.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


@cache
def code_hash() -> str:
    """Hash of this project's code that a row depends on: with another tracer, finished units are done again."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("tracer", "corpus"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]
