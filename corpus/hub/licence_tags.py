"""The licences of rows as the Hub names them: the identifiers that a card's ``license`` may have.

Source: docs/hub/repositories-licenses.md of huggingface/hub-docs has the identifiers, and the Hub's own type of a
card's metadata takes one of them or a list. Most are SPDX's in small letters; of those that differ the table below says
which SPDX identifiers they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SAME = """
afl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 isc lppl-1.3c mit mpl-2.0 ms-pl ncsa ofl-1.1 osl-3.0
postgresql unlicense wtfpl zlib
"""
_FAMILIES = {
    "agpl-3.0": ("agpl-3.0",),
    "gfdl": ("gfdl-1.1", "gfdl-1.2", "gfdl-1.3"),
    "gpl-2.0": ("gpl-2.0",),
    "gpl-3.0": ("gpl-3.0",),
    "lgpl-2.1": ("lgpl-2.1",),
    "lgpl-3.0": ("lgpl-3.0",),
}
"""Licences of which SPDX says besides if later versions may be taken, which the Hub does not."""
_OTHERS = {"c-uda-1.0": "c-uda", "odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl"}
_TAGS = {
    **{name: name for name in _SAME.split()},
    **{
        f"{name}{ending}": tag
        for tag, names in _FAMILIES.items()
        for name in names
        for ending in ("", "+", "-only", "-or-later")
    },
    **_OTHERS,
}
_between = re.compile(r" (?:AND|OR) ")


def licence_tags(names: Iterable[str]) -> tuple[str, ...] | None:
    """Return the Hub's identifiers of all licences that SPDX expressions name, sorted, each once; None where the Hub
    has none for one of them, where one has an exception (``WITH``), and where there are no expressions.

    >>> licence_tags(["MIT"]), licence_tags(["Apache-2.0 OR MIT", "GPL-3.0-or-later"])
    (('mit',), ('apache-2.0', 'gpl-3.0', 'mit'))
    >>> licence_tags(["MIT", "NOASSERTION"]) is None
    True
    """
    tags: set[str] = set()
    for name in names:
        for part in _between.split(name.replace("(", "").replace(")", "")):
            tag = _TAGS.get(part.strip().lower())
            if tag is None:
                return None
            tags.add(tag)
    return tuple(sorted(tags)) or None
