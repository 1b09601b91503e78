"""A project's version where its packaging files say only in which file it stands. Runs in the reader's sandbox.

setuptools' ``attr:`` and ``file:``, hatch's ``path`` and flit's module are followed; nothing is imported: a file's text
is parsed, and an assignment of a text counts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trace_mine.corpus.mined.files import MAX_FILE_BYTES, parse
from trace_mine.corpus.mined.packaging_files import PACKAGING_SECONDS, PackagingFiles, dig
from trace_mine.tracer.schema import Drop

ROOTS = ("", "src/", "lib/")
"""Folders in which projects keep their packages."""
NAMES = ("__version__", "VERSION", "version")
"""Names that hatch and flit take for the version, the likeliest first."""


def version_elsewhere(packaging: PackagingFiles) -> str | None:
    """The version in the file that the packaging files name; None where they name none, or it says none."""
    for path, names in _places(packaging):
        data = packaging.read(path, MAX_FILE_BYTES)
        if data is None:
            continue
        text = data.decode("utf-8", "replace")
        if not path.endswith(".py"):
            return next((line.strip() for line in text.split("\n") if line.strip()), None)
        version = packaging.within_limits(path, lambda: _assigned(text, names), None, PACKAGING_SECONDS)  # noqa: B023  # called at once
        if version is not None:
            return version
    return None


def _places(packaging: PackagingFiles) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The files where the version may stand, each with the names that it may have there."""
    project = packaging.toml("pyproject.toml")
    dynamic = dig(project, "tool", "setuptools", "dynamic", "version")
    attribute, listed = dig(dynamic, "attr"), dig(dynamic, "file")
    file: object = listed[0] if isinstance(listed, list) and listed else listed
    in_config = packaging.config("setup.cfg").get("metadata", "version", fallback=None) or ""
    kind, _, value = in_config.partition(":")
    if kind == "attr":
        attribute = attribute or value.strip()
    elif kind == "file":
        file = file or value.partition(",")[0].strip()
    if isinstance(attribute, str):
        module, _, name = attribute.rpartition(".")
        yield from ((path, (name,)) for path in _files_of(module))
    for named in (file, dig(project, "tool", "hatch", "version", "path")):
        if isinstance(named, str) and _is_inside(named):
            yield named, NAMES
    backend = dig(project, "build-system", "build-backend")
    if backend == "flit_core.buildapi":
        package = dig(project, "tool", "flit", "module", "name") or dig(project, "project", "name")
        if isinstance(package, str):
            yield from ((path, NAMES[:1]) for path in _files_of(package.replace("-", "_")))


def _files_of(module: str) -> Iterator[str]:
    """The files that a dotted name may be in."""
    if module and all(map(str.isidentifier, module.split("."))):
        place = module.replace(".", "/")
        for root in ROOTS:
            yield f"{root}{place}.py"
            yield f"{root}{place}/__init__.py"


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def _assigned(text: str, names: tuple[str, ...]) -> str | None:
    """The text that a module assigns to one of the names, at its top level; the last assignment counts."""
    tree = parse(text)
    if isinstance(tree, Drop):
        return None
    texts: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                texts |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return next((texts[name] for name in names if name in texts), None)
