"""Finds the licence of a repository, as an SPDX expression.

The first of these that says something decides: ``License-Expression``, licence files (read by ``licenseclassifier``),
the ``License`` field where it is SPDX, trove classifiers. Otherwise it is ``NOASSERTION``. Several licence files with
different licences are joined with ``AND``, which is the careful reading: rows are permissive only where all of them
are. A file's own ``SPDX-License-Identifier`` stands above the repository's. Not covered: licences named in prose only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from trace_mine.corpus.mined.packaging_files import PackagingFiles

NOASSERTION = "NOASSERTION"
"""SPDX's word for a licence that is not known."""

PERMISSIVE = frozenset(
    (
        "0BSD",
        "AFL-2.1",
        "AFL-3.0",
        "Apache-2.0",
        "BlueOak-1.0.0",
        "BSD-1-Clause",
        "BSD-2-Clause",
        "BSD-2-Clause-Patent",
        "BSD-2-Clause-Views",
        "BSD-3-Clause",
        "BSD-3-Clause-Attribution",
        "BSD-3-Clause-Clear",
        "BSD-4-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "NCSA",
        "PostgreSQL",
        "PSF-2.0",
        "Python-2.0",
        "Python-2.0.1",
        "Unlicense",
        "UPL-1.0",
        "WTFPL",
        "X11",
        "Zlib",
        "ZPL-2.1",
    )
)
"""SPDX identifiers of licences that ask for no more than a notice. A licence that is not listed is not permissive."""

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License (GPL)": "GPL-1.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
"""Trove names of licences. ``BSD License`` doesn't say which one; the licence files, which come first, mostly do."""

ALIASES = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "mit license": "MIT",
    "new bsd": "BSD-3-Clause",
    "psf": "PSF-2.0",
    "the mit license": "MIT",
}
"""Spellings in ``License`` fields that are common and no SPDX, in lower case."""

LICENCE_FILE = re.compile(r"(licen[cs]e|copying|unlicense)([.\-_].*)?\Z", re.IGNORECASE)
SPDX_HEADER = re.compile(r"^[ \t]*+#[ \t]*+SPDX-License-Identifier:[ \t]*+([\w.+() \-]{1,200}+)$", re.MULTILINE)

MAX_LICENCE_FILES = 50
"""Licence files of a repository; one that bundles many others' code has some twenty."""
MAX_LICENCE_BYTES = 1 << 20
"""Bytes of a licence file: the licences of all that a large package bundles are 0.3 MB."""
LICENCE_SECONDS = 10.0
"""CPU time to recognise the licences of one file. That of GPL-3.0 takes 20 ms; one that repeats a phrase of 44 kB took
19 s, since the classifier reads on from each place at which a licence may begin."""


def find_licence(
    packaging: PackagingFiles, *, expression: str | None, field: str | None, classifiers: Iterable[str]
) -> str:
    """The licence of a repository, from its metadata and the files at its root.

    Args:
        packaging: the files at the repository's root.
        expression: ``License-Expression`` of the metadata.
        field: ``License`` of the metadata, which often has the whole text of a licence.
        classifiers: trove classifiers of all kinds.

    Returns:
        An SPDX expression, ``NOASSERTION`` where nothing tells.
    """
    declared = normalise(expression)
    if declared:
        return declared
    in_files = licence_of_files(packaging)
    if in_files:
        return in_files
    named = normalise(field)
    if named:
        return named
    names = (classifier.rpartition(" :: ")[2] for classifier in classifiers if classifier.startswith("License ::"))
    classified = sorted({CLASSIFIERS[name] for name in names if name in CLASSIFIERS})
    return " AND ".join(classified) or NOASSERTION


def normalise(text: str | None) -> str | None:
    """The text as a canonical SPDX expression; None when it isn't one.

    Example:
        >>> normalise("apache 2.0"), normalise("mit or gpl-2.0"), normalise("see the file")
        ('Apache-2.0', 'MIT OR GPL-2.0-only', None)
    """
    if not text or len(text) > 300:  # the text of a licence, which is no expression
        return None
    parsed = _parsed(ALIASES.get(text.strip().lower(), text.strip()))
    return parsed.render() if parsed is not None else None


def licence_of_files(packaging: PackagingFiles) -> str | None:
    """The licences in the files ``LICENSE*``, ``COPYING*`` and ``LICENSES/*``, joined; None when none is recognised."""
    # LICENSES is REUSE's folder with a file for each licence; wheels have theirs in `licenses` of the metadata folder.
    paths = [folder + name for folder in ("", "LICENSES/", "licenses/") for name in packaging.names(folder)]
    licences: set[str] = set()
    for path in [path for path in paths if "/" in path or LICENCE_FILE.match(path)][:MAX_LICENCE_FILES]:
        licences |= _licences_of(packaging, path)
    return normalise(" AND ".join(sorted(licences)))


def _licences_of(packaging: PackagingFiles, path: str) -> frozenset[str]:
    if (packaging.root / path).is_dir():  # a package may be called `licenses`
        return frozenset()
    data = packaging.read(path, MAX_LICENCE_BYTES)
    if data is None:
        return frozenset()
    text = data.decode("utf-8", "replace")  # a text in Latin-1 still has words enough to be told by
    nothing: frozenset[str] = frozenset()
    return packaging.within_limits(path, lambda: recognised(text), nothing, LICENCE_SECONDS)


def recognised(text: str) -> frozenset[str]:
    """SPDX identifiers of the licences that a text consists of."""
    # imported here: with it come the texts of all licences
    from licenseclassifier import identify_license

    return frozenset(match.id for match in identify_license(text))


def header_licence(text: str) -> str | None:
    """The licence in a source file's ``SPDX-License-Identifier`` comment, looked for in its first lines."""
    # A header is in the first lines; further down, the comment would be about something else (a template, a test).
    match = SPDX_HEADER.search(text[:4000])
    return normalise(match.group(1)) if match else None


def is_permissive(expression: str) -> bool:
    """Tell if the expression leaves a choice of permissive licences alone.

    Example:
        >>> [is_permissive(text) for text in ("MIT", "MIT OR GPL-2.0-only", "MIT AND GPL-2.0-only", "NOASSERTION")]
        [True, True, False, False]
    """
    parsed = _parsed(expression)
    return parsed is not None and _permits(parsed)


# Any: license_expression has no types. Its nodes are AND and OR with `args`, or a licence with a `key`.
def _permits(node: Any) -> bool:
    from license_expression import AND, OR, LicenseWithExceptionSymbol

    if isinstance(node, OR):
        return any(_permits(part) for part in node.args)
    if isinstance(node, AND):
        return all(_permits(part) for part in node.args)
    if isinstance(node, LicenseWithExceptionSymbol):
        node = node.license_symbol  # an exception only permits more than the licence does
    return node.key in PERMISSIVE


def _parsed(text: str) -> Any:
    """The tree of an SPDX expression; None where the text is none."""
    from license_expression import ExpressionError

    try:
        return _licensing().parse(text, validate=True)
    except (ExpressionError, RecursionError):  # deeply nested parentheses: the parser recurses
        return None


@cache  # it reads a table of 2,000 licences
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
