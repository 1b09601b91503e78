"""Files that a build writes with the project's version, as the packaging files name them. Runs in the reader's sandbox.

They are not committed, so a checkout lacks them; a package that imports its own can't be imported from there. What
each tool writes is in its documentation: setuptools-scm's ``version_file``, hatch's build hooks ``vcs`` and
``version``, pdm's ``write_to``, versioningit's ``write.file``.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping

from trace_mine.corpus.mined.packaging_files import METADATA_BYTES, PackagingFiles, dig, setup_call

UNKNOWN_VERSION = "0"
"""Stands for a version that nothing says, as in a checkout whose version is made of its tags."""
MAX_FILES = 10
"""Version files of a repository; a build writes one or two."""
MAX_PATH_CHARS = 200
"""Characters of such a file's path; longer ones are not made."""
MAX_TEXT_CHARS = 4_000
"""Characters of such a file; a longer template is replaced by the usual text."""

_number = re.compile(r"(?:0|[1-9][0-9]*+)\Z")
_part = re.compile(r"[\w-][\w.-]*+\Z", re.ASCII)


def missing_version_files(packaging: PackagingFiles, version: str) -> dict[str, str]:
    """The version files that a build would write and that are not there.

    Args:
        packaging: the repository's files.
        version: what they are to say.

    Returns:
        By path, relative to the repository, the text of the file.
    """
    texts: dict[str, str] = {}
    for path, template in _named_files(packaging):
        parts = path.split("/")
        is_plain = len(path) <= MAX_PATH_CHARS and all(map(_part.match, parts))
        # in a folder that is there: a build writes into the package that it builds
        if is_plain and not os.path.lexists(packaging.root / path) and packaging.names("/".join(parts[:-1])):
            texts.setdefault(path, _text(path, version, template))
        if len(texts) == MAX_FILES:
            break
    return texts


def _named_files(packaging: PackagingFiles) -> Iterator[tuple[str, str | None]]:
    """The paths that the packaging files name, each with its template where it has one of its own."""
    tools = dig(packaging.toml("pyproject.toml"), "tool")
    scm = dig(tools, "setuptools_scm")
    yield from _with_template(dig(scm, "version_file"), dig(scm, "version_file_template"))
    yield from _with_template(dig(scm, "write_to"), dig(scm, "write_to_template"))
    hooks = dig(tools, "hatch", "build", "hooks")
    yield from _with_template(dig(hooks, "vcs", "version-file"), dig(hooks, "vcs", "template"))
    yield from _with_template(dig(hooks, "version", "path"), dig(hooks, "version", "template"))
    for path, template in _with_template(dig(tools, "pdm", "version", "write_to"), None):
        yield path, template
        yield f"src/{path}", template  # relative to the folder of the packages
    yield from _with_template(dig(tools, "versioningit", "write", "file"), None)
    yield from _in_setup(packaging)


def _in_setup(packaging: PackagingFiles) -> Iterator[tuple[str, str | None]]:
    """The files that ``use_scm_version={"write_to": ...}`` of a ``setup.py`` names."""
    data = packaging.read("setup.py", METADATA_BYTES)
    call = setup_call(data) if data is not None else None
    for keyword in call.keywords if call is not None else ():
        if keyword.arg == "use_scm_version" and isinstance(keyword.value, ast.Dict):
            pairs = zip(keyword.value.keys, keyword.value.values, strict=True)
            named: Mapping[object, object] = {
                key.value: value.value
                for key, value in pairs
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
            }
            yield from _with_template(named.get("version_file"), named.get("version_file_template"))
            yield from _with_template(named.get("write_to"), named.get("write_to_template"))


def _with_template(path: object, template: object) -> Iterator[tuple[str, str | None]]:
    if isinstance(path, str):
        yield path, template if isinstance(template, str) else None


def _text(path: str, version: str, template: str | None) -> str:
    """The text of a version file: with all names under which the tools' own files give the version."""
    numbers = ", ".join(part if _number.match(part) else repr(part) for part in version.split("."))
    as_tuple = f"({numbers},)"
    if template is not None:
        text = template.replace("{version}", version).replace("{version_tuple}", as_tuple)
        # another field is a tool's own, which the usual text answers better than one that is left open
        if len(text) <= MAX_TEXT_CHARS and "{" not in text:
            return text
    if not path.endswith(".py"):
        return f"{version}\n"
    return (
        f"__version__ = version = {version!r}\n__version_tuple__ = version_tuple = {as_tuple}\n"
        "__commit_id__ = commit_id = None\n"
    )
