"""Poetry's own notation of a requirement, as PEP 508 has it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_number = re.compile(r"(\d++)(?:\.(\d++))?+(?:\.(\d++))?+")


def poetry_requirement(name: str, wanted: object) -> str:
    """The requirement of an entry of poetry's tables.

    Args:
        name: the key, a distribution's name.
        wanted: the value: a text of versions, or a table with ``version``, ``extras`` and ``markers``.

    Returns:
        A requirement; the name with a URL where the entry names a place instead of a version.

    >>> poetry_requirement("attrs", "^20.1")
    'attrs>=20.1,<21'
    >>> poetry_requirement("tqdm", {"version": "~4.1", "extras": ["notebook"], "markers": "os_name == 'nt'"})
    "tqdm[notebook]>=4.1,<4.2; os_name == 'nt'"
    """
    extras, markers = "", ""
    if isinstance(wanted, Mapping):
        place = next((key for key in ("git", "path", "url", "file") if key in wanted), None)
        if place is not None:
            return f"{name} @ {wanted[place]}"
        listed = wanted.get("extras")
        if isinstance(listed, list) and listed:
            extras = f"[{','.join(map(str, listed))}]"
        markers = f"; {wanted['markers']}" if isinstance(wanted.get("markers"), str) else ""
        wanted = wanted.get("version", "*")
    versions = [_bounds(part.strip()) for part in str(wanted).split("||")[0].split(",")]
    return f"{name}{extras}{','.join(filter(None, versions))}{markers}"


def _bounds(part: str) -> str:
    """One condition of poetry's: ``^1.2``, ``~1.2``, ``1.2``, ``*``, or one of PEP 440's."""
    if part in ("*", ""):
        return ""
    sign, text = part[0], part[1:].strip()
    if sign not in "^~" or part.startswith("~="):
        return f"=={part}" if part[0].isdigit() else part
    match = _number.match(text)
    if match is None:
        return ""
    numbers = [int(number) for number in match.groups() if number is not None]
    # ``^`` keeps the first number that is not zero, ``~`` the second one, or the first where there is no other
    keep = next((n for n, number in enumerate(numbers) if number), len(numbers) - 1) if sign == "^" else 1
    keep = min(keep, len(numbers) - 1)
    above = [*numbers[:keep], numbers[keep] + 1]
    return f">={text},<{'.'.join(map(str, above))}"
