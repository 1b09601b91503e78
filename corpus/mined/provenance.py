"""Reads a repository's name, version, commit and licence from its files.

Nothing of the repository is run: ``setup.py`` is read as a syntax tree, and git's files are read without git, which
would run what the repository's configuration names (hooks, ``core.fsmonitor``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.mined.dynamic_version import version_elsewhere
from trace_mine.corpus.mined.licences import find_licence
from trace_mine.corpus.mined.packaging_files import PackagingFiles, dig

MAX_TEXT_CHARS = 100
"""Characters of a name or version, which stand in every row; real ones have under 50."""

PACKED_BYTES = 16 << 20
"""Bytes of git's file of packed references: some 200,000, at about 70 bytes a line."""

# SHA-1, or SHA-256 in repositories that chose it
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of rows.

    Attributes:
        name: the project's, normalised (``normalised_name``); rows are split by it.
        version: as the project writes it; None when unknown.
        commit: 40 or 64 hexadecimal digits; None when unknown.
        licence: an SPDX expression, ``NOASSERTION`` when unknown.

    Raises:
        ValueError: there is no name, no licence, or the commit is no hash.
    """

    name: str
    version: str | None
    commit: str | None
    licence: str

    def __post_init__(self) -> None:
        if not self.name or not self.licence:
            raise ValueError(
                f"expected Provenance.name and licence, got {self.name!r} and {self.licence!r}; "
                "write unnamed and NOASSERTION where they are unknown"
            )
        if self.commit is not None and not _HASH.match(self.commit):
            raise ValueError(f"expected Provenance.commit to be a hash, got {self.commit!r}; give None for no commit")


def find_provenance(root: Path, *, fallback_name: str, packaging: PackagingFiles | None = None) -> Provenance:
    """Read PKG-INFO or METADATA, pyproject.toml, setup.cfg and setup.py; the first that has a value decides.

    Args:
        root: the repository's folder.
        fallback_name: the project's name where no file tells it.
        packaging: the files in ``root``, where the caller wants to know which of them could not be read.
    """
    packaging = packaging or PackagingFiles(root)
    metadata = packaging.headers()
    project = packaging.toml("pyproject.toml")
    config = packaging.config("setup.cfg")
    setup = packaging.setup_keywords()
    poetry = dig(project, "tool", "poetry")
    name = _first(
        metadata.get("Name"),
        dig(project, "project", "name"),
        dig(poetry, "name"),
        config.get("metadata", "name", fallback=None),
        setup.get("name"),
    )
    version = _first(
        metadata.get("Version"),
        dig(project, "project", "version"),
        dig(poetry, "version"),
        config.get("metadata", "version", fallback=None),
        setup.get("version"),
    )
    if not version or version.startswith(("attr:", "file:")):  # setup.cfg says where it stands
        version = version_elsewhere(packaging)
    # A text since PEP 639, which means an SPDX expression; before that a table, whose text may be anything.
    licence_table = dig(project, "project", "license")
    classifiers = [str(value) for value in metadata.get_all("Classifier") or []]
    listed = dig(project, "project", "classifiers")
    classifiers += [str(value) for value in listed] if isinstance(listed, list) else []
    licence = find_licence(
        packaging,
        expression=_first(metadata.get("License-Expression"), licence_table),
        field=_first(
            metadata.get("License"),
            dig(licence_table, "text"),
            dig(poetry, "license"),
            config.get("metadata", "license", fallback=None),
            setup.get("license"),
        ),
        classifiers=classifiers,
    )
    return Provenance(
        name=normalised_name(name or fallback_name),
        version=_plain(version) if version else None,
        commit=find_commit(packaging),
        licence=licence,
    )


def normalised_name(name: str) -> str:
    """A project's name as package indexes compare names (PEP 503), so that all its versions share a split.

    Example:
        >>> normalised_name("Zope.Interface__x")
        'zope-interface-x'
    """
    return re.sub(r"[-_.]+", "-", _plain(name)).strip("-").lower() or "unnamed"


def find_commit(packaging: PackagingFiles) -> str | None:
    """The commit that HEAD names, read from ``.git``'s files.

    HEAD has a hash itself (detached), or names a reference, which is a file or a line of ``packed-refs``. None without
    a checkout, before the first commit, or where references are stored in another format (reftable). None, too, for a
    worktree or a submodule: their files are elsewhere, and a ``.git`` that points there may have been forged.
    """
    commit = _head_of(packaging)
    return commit if commit and _HASH.match(commit) else None


def _head_of(packaging: PackagingFiles) -> str | None:
    """The text that stands where a commit's hash should, for ``find_commit`` to check."""
    head = _git_text(packaging, "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    if ".." in reference.split("/") or reference.startswith("/") or "\0" in reference:
        return None  # a forged HEAD must not have us read another file
    return _git_text(packaging, reference) or _packed(packaging, reference)


def _packed(packaging: PackagingFiles, reference: str) -> str | None:
    """The commit of a reference that git packed into one file with others; None where it is not among them."""
    for line in (_git_text(packaging, "packed-refs", PACKED_BYTES) or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return None


def _git_text(packaging: PackagingFiles, path: str, max_bytes: int = 4096) -> str | None:
    """The text of one of git's files without surrounding space; None where there is none."""
    data = packaging.read(f".git/{path}", max_bytes)
    return None if data is None else data.decode("utf-8", "replace").strip()


def _first(*values: object) -> str | None:
    """The first value that is a text with more than space in it; the values come from files of any content."""
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), None)


def _plain(text: str) -> str:
    """The text as printable ASCII of bounded length: it is shown on a terminal, and it is hostile as all the rest."""
    return re.sub(r"[^A-Za-z0-9._+!-]+", "-", text)[:MAX_TEXT_CHARS]
