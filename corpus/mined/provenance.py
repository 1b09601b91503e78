"""Name, version, commit and licence of a repository, read from its files; nothing of it is run, git's hooks
included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from pathlib import Path

from trace_mine.corpus.mined.files import FileProblem, parse, read_bytes
from trace_mine.corpus.mined.layout import dig, load_config, load_toml
from trace_mine.corpus.mined.licences import find_licence

_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where rows come from. ``name`` is the project's, normalised; ``version`` and ``commit`` are None when unknown."""

    name: str
    version: str | None
    commit: str | None
    licence: str


def find_provenance(root: Path, *, fallback_name: str) -> Provenance:
    """Reads PKG-INFO or METADATA, pyproject.toml, setup.cfg, setup.py, in this order."""
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
        version=_plain(version) if version and not version.startswith(("attr:", "file:")) else None,
        commit=find_commit(root),
        licence=licence,
    )


def normalised_name(name: str) -> str:
    """A project's name as package indexes compare it, so that all its versions share a split."""
    return re.sub(r"[-_.]+", "-", _plain(name)).strip("-").lower() or "unnamed"


def find_commit(root: Path) -> str | None:
    """The commit that HEAD names, read from ``.git``'s files. None without a checkout, or where the format is
    another (reftable).
    """
    folder = root / ".git"
    try:
        if folder.is_file():  # a worktree or a submodule
            folder = (root / folder.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = _text(folder / "HEAD")
        if head is None or not head.startswith("ref: "):
            return head if head and _HASH.match(head) else None
        reference = head.removeprefix("ref: ")
        if ".." in reference.split("/") or reference.startswith("/"):
            return None
        common = folder / (_text(folder / "commondir") or ".")
        commit = _text(common / reference) or _packed(common / "packed-refs", reference)
    except (OSError, UnicodeError, ValueError):
        return None
    return commit if commit and _HASH.match(commit) else None


def _packed(file: Path, reference: str) -> str | None:
    for line in (_text(file, limit=16 << 20) or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return None


def _text(file: Path, limit: int = 4096) -> str | None:
    if not file.is_file():
        return None
    with open(file, encoding="utf-8") as opened:
        return opened.read(limit).strip()


def _metadata(root: Path) -> Message:
    candidates = [
        root / "PKG-INFO",
        root / "METADATA",
        *sorted(root.glob("*.dist-info/METADATA")),
        *sorted(root.glob("*.egg-info/PKG-INFO")),
    ]
    for file in candidates:
        data = read_bytes(file.parent, file.name) if file.is_file() else None
        if data and not isinstance(data, FileProblem):
            return message_from_string(data.decode("utf-8", "replace"))
    return Message()


def _setup_keywords(root: Path) -> Mapping[str, str]:
    """Literal keyword arguments of the ``setup(...)`` call."""
    data = read_bytes(root, "setup.py") if (root / "setup.py").is_file() else None
    if data is None or isinstance(data, FileProblem):
        return {}
    tree = parse(data.decode("utf-8", "replace"))
    for node in ast.walk(tree) if isinstance(tree, ast.Module) else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "setup":
            values = ((keyword.arg, keyword.value) for keyword in node.keywords)
            return {
                key: v.value for key, v in values if key and isinstance(v, ast.Constant) and isinstance(v.value, str)
            }
    return {}


def _first(*values: object) -> str | None:
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), None)


def _plain(text: str) -> str:
    """Printable ASCII of bounded length: metadata is as hostile as the rest."""
    return re.sub(r"[^A-Za-z0-9._+!-]+", "-", text)[:100]
