"""Reads a repository's name, version, commit and licence from its files.

Nothing of the repository is run: ``setup.py`` is read as a syntax tree, and git's files are read without git, which
would run what the repository's configuration names (hooks, ``core.fsmonitor``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from pathlib import Path

from trace_mine.corpus.mined.files import parse, read_bytes
from trace_mine.corpus.mined.layout import dig, load_config, load_toml
from trace_mine.corpus.mined.licences import find_licence

MAX_TEXT_CHARS = 100
"""Characters of a name or version, which stand in every row; real ones have under 50."""

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


def find_provenance(root: Path, *, fallback_name: str) -> Provenance:
    """Read PKG-INFO or METADATA, pyproject.toml, setup.cfg and setup.py; the first that has a value decides.

    Args:
        root: the repository's folder.
        fallback_name: the project's name where no file tells it.
    """
    metadata = _metadata(root)
    project = load_toml(root / "pyproject.toml")
    config = load_config(root / "setup.cfg")
    setup = _setup_keywords(root)
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
    # A text since PEP 639, which means an SPDX expression; before that a table, whose text may be anything.
    licence_table = dig(project, "project", "license")
    classifiers = [str(value) for value in metadata.get_all("Classifier") or []]
    listed = dig(project, "project", "classifiers")
    classifiers += [str(value) for value in listed] if isinstance(listed, list) else []
    licence = find_licence(
        root,
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
        # setup.cfg may say where the version stands instead of telling it; to look there could mean an import.
        version=_plain(version) if version and not version.startswith(("attr:", "file:")) else None,
        commit=find_commit(root),
        licence=licence,
    )


def normalised_name(name: str) -> str:
    """A project's name as package indexes compare names (PEP 503), so that all its versions share a split.

    Example:
        >>> normalised_name("Zope.Interface__x")
        'zope-interface-x'
    """
    return re.sub(r"[-_.]+", "-", _plain(name)).strip("-").lower() or "unnamed"


def find_commit(root: Path) -> str | None:
    """The commit that HEAD names, read from ``.git``'s files.

    HEAD has a hash itself (detached), or names a reference, which is a file or a line of ``packed-refs``. None without
    a checkout, before the first commit, or where references are stored in another format (reftable).
    """
    try:
        commit = _head_of(root)
    except (OSError, UnicodeError, ValueError):  # ValueError: a null byte in a path
        return None
    return commit if commit and _HASH.match(commit) else None


def _head_of(root: Path) -> str | None:
    """The text that stands where a commit's hash should, for ``find_commit`` to check."""
    folder = root / ".git"
    if folder.is_file():  # a worktree or a submodule
        folder = (root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
    head = _text(folder / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    reference = head.removeprefix("ref: ")
    if ".." in reference.split("/") or reference.startswith("/"):
        return None  # a forged HEAD must not have us read another file
    common = folder / (_text(folder / "commondir") or ".")  # worktrees share references with their repository
    return _text(common / reference) or _packed(common / "packed-refs", reference)


def _packed(file: Path, reference: str) -> str | None:
    """The commit of a reference that git packed into one file with others; None where it is not among them."""
    # 16 MB are some 200,000 references, at about 70 bytes a line
    for line in (_text(file, limit=16 << 20) or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return None


def _text(file: Path, limit: int = 4096) -> str | None:
    """The first characters of a file without surrounding space; None where there is no file."""
    if not file.is_file():
        return None
    with open(file, encoding="utf-8") as opened:
        return opened.read(limit).strip()


def _metadata(root: Path) -> Message:
    """The metadata of an sdist, a wheel or an installation, which have the format of mail headers; empty without."""
    candidates = [
        root / "PKG-INFO",
        root / "METADATA",
        *sorted(root.glob("*.dist-info/METADATA")),
        *sorted(root.glob("*.egg-info/PKG-INFO")),
    ]
    # By the mail parser, which never fails: metadata that is cut off or forged gives fewer fields.
    for file in candidates:
        data = read_bytes(file.parent, file.name) if file.is_file() else None
        if isinstance(data, bytes) and data:
            return message_from_string(data.decode("utf-8", "replace"))
    return Message()


def _setup_keywords(root: Path) -> Mapping[str, str]:
    """The keyword arguments of the ``setup(...)`` call that are string literals; empty without such a call."""
    data = read_bytes(root, "setup.py") if (root / "setup.py").is_file() else None
    tree = parse(data.decode("utf-8", "replace")) if isinstance(data, bytes) else None
    if not isinstance(tree, ast.Module):
        return {}
    # `setup(...)` or `setuptools.setup(...)`; the first one counts, as further ones would install something else
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    setup = next((call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "setup"), None)
    return {
        keyword.arg: keyword.value.value
        for keyword in (setup.keywords if setup is not None else ())
        if keyword.arg is not None and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }


def _first(*values: object) -> str | None:
    """The first value that is a text with more than space in it; the values come from files of any content."""
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), None)


def _plain(text: str) -> str:
    """The text as printable ASCII of bounded length: it is shown on a terminal, and it is hostile as all the rest."""
    return re.sub(r"[^A-Za-z0-9._+!-]+", "-", text)[:MAX_TEXT_CHARS]
