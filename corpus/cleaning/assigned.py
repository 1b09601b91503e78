"""Finds secrets that are told by the name that they are assigned to: ``api_key = "..."``, ``{"token": "..."}``.

A value counts where it looks drawn: its characters are many and different. What people write in examples (words with
underscores, ``changeme``, an identifier of digits) does not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from trace_mine.corpus.cleaning.fakes import is_secret_fake, secret_like
from trace_mine.corpus.cleaning.kinds import Finding, Kind
from trace_mine.corpus.cleaning.provider_keys import entropy

_NEEDLE = re.compile(r"secret|token|pass|pwd|key|credential|SECRET|TOKEN|PASS|PWD|KEY|CREDENTIAL|Secret|Token|Pass|Key")
_NAMED = re.compile(
    r"(secret|token|passwo?r?d?|pwd|passphrase|key|credential)[a-z0-9_\-]{0,40}['\"\])]{0,3}"
    r"[ \t]{0,8}(?:=>|:=|==|=|:|,)[ \t]{0,8}"
    r"(?:[bruf]{0,2}(['\"]{1,2})([^'\"\s]{6,200})\2|([A-Za-z0-9+/_=\-]{20,200})(?![A-Za-z0-9+/_=\-.(\[]))",
    re.IGNORECASE,
)
_KINDS_OF_KEY = ("api", "access", "auth", "private", "signing", "encryption", "secret", "account", "client", "master")
"""Words before ``key`` where that is a secret; most keys are those of mappings."""
_BEARER = re.compile(r"\b(?:Bearer|Token|token) ([A-Za-z0-9._+/=\-]{20,200})(?![A-Za-z0-9._+/=\-(\[])")
_BASIC = re.compile(r"\bBasic ([A-Za-z0-9+/]{8,200}={0,2})(?![A-Za-z0-9+/=])")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)
_PARTS = re.compile(r"[_\-./:]")
_MARKS = frozenset("{}%$<>()\\")
"""Marks of placeholders, and of escapes."""
_MADE_UP = re.compile(
    r"(?:my|your|some|the|a|new|old|test|fake|dummy|example|sample|bad|good|wrong|valid|invalid)?[_\-]?"
    r"(?:password|passwd|pass|pwd|secret|token|test|abc|admin|foo|bar|baz|user|key|changeme|letmein|qwerty|xyz|value|"
    r"string|example|default|root|apikey|name|spam|p[a4][s$][s$]w[o0]rd)[_\-]?\d{0,9}[!?.]?\Z",
    re.IGNORECASE,
)


def assigned_secrets(text: str) -> Iterator[Finding]:
    """Find drawn values behind names that speak of secrets, and behind ``Bearer``."""
    done = 0
    for needle in _NEEDLE.finditer(text):
        match = _NAMED.match(text, needle.start()) if needle.start() >= done else None
        if match is None or not _names_a_secret(
            match.group(1).lower(), text[max(0, match.start() - 12) : match.start()]
        ):
            continue
        group = 3 if match.group(3) is not None else 4
        is_password = match.group(1).lower().startswith(("pass", "pwd"))
        value = match.group(group)
        is_one = _is_password(value) if is_password and group == 3 else _is_drawn(value, is_quoted=group == 3)
        if is_one and not is_secret_fake(value):
            done = match.end()
            yield _finding(value, match.start(group))
    if "Basic " in text:
        yield from _basic_passwords(text)
    if "earer " in text or "oken " in text:
        for match in _BEARER.finditer(text):
            if _is_drawn(match.group(1), is_quoted=False) and not is_secret_fake(match.group(1)):
                yield _finding(match.group(1), match.start(1))


def _names_a_secret(word: str, before: str) -> bool:
    return word != "key" or before.lower().rstrip("_-").endswith(_KINDS_OF_KEY)


def _basic_passwords(text: str) -> Iterator[Finding]:
    """Find passwords of HTTP's basic authentication; a fake is base64 too."""
    for match in _BASIC.finditer(text):
        try:
            user, colon, password = base64.b64decode(match.group(1), validate=True).decode("ascii").partition(":")
        except ValueError:
            continue
        if colon and _is_password(password) and not is_secret_fake(password):
            fake = base64.b64encode(f"{user}:{secret_like(password)}".encode()).decode()
            yield Finding(kind=Kind.ASSIGNED_SECRET, start=match.start(1), end=match.end(1), fake=fake)


def _finding(value: str, start: int) -> Finding:
    return Finding(kind=Kind.ASSIGNED_SECRET, start=start, end=start + len(value), fake=secret_like(value))


def _is_password(value: str) -> bool:
    """Tell if a value may be somebody's password: letters and digits, and nothing that people make up."""
    if _MADE_UP.match(value) or set(value) & _MARKS or _UUID.match(value):
        return False
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and len(set(value)) >= 5 and _is_no_name(value)


def _is_drawn(value: str, *, is_quoted: bool) -> bool:
    """Tell if a value may be drawn at random: digits among letters, at 3.5 bits a character or more."""
    num_digits = sum(map(str.isdigit, value))
    if len(value) < 16 or _UUID.match(value) or set(value) & _MARKS or not num_digits:
        return False
    bits = entropy(value)
    if not is_quoted and not (any(map(str.isupper, value)) and any(map(str.islower, value)) and bits >= 4):
        return False
    is_hex = all(character in "0123456789abcdefABCDEF" for character in value)
    enough = bits >= 3 if is_hex and len(value) >= 32 else bits >= 4 or (bits >= 3.5 and num_digits >= 2)
    return enough and any(map(str.isalpha, value)) and _is_no_name(value)


def _is_no_name(value: str) -> bool:
    """Tell if a value is something else than words and numbers with marks between them."""
    return not all(part.isalpha() or part.isdigit() or not part for part in _PARTS.split(value))
