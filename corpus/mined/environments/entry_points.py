"""The entry points that a repository declares, as ``importlib.metadata`` would list them. Runs in the reader's sandbox.

A program that looks for its own plugins, or a plugin whose tests need it loaded (pytest's ``pytest11``), asks for them.
They are taken as text; nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from trace_mine.corpus.mined.packaging_files import METADATA_BYTES, PackagingFiles, dig, setup_call

MAX_ENTRY_POINTS = 500
"""Entry points of a repository; pygments has some 250."""
MAX_CHARS = 200
"""Characters of a group, a name or an object."""

EntryPoint = tuple[str, str, str]
"""Group, name and object: ``("pytest11", "cov", "pytest_cov.plugin")``."""

_group = re.compile(r"\w[\w.-]*+\Z", re.ASCII)
_name = re.compile(r"[^\s=\[;#:][^=\[\n]*+\Z", re.ASCII)
_object = re.compile(r"[\w.]++(?: *+: *+[\w.]++)?+(?: *+\[[\w., -]*+\])?+\Z", re.ASCII)


def entry_points(packaging: PackagingFiles) -> list[EntryPoint]:
    """The entry points of pyproject.toml, setup.cfg and setup.py, and those that an sdist's metadata list; sorted."""
    return sorted({point for point in _declared(packaging) if is_entry_point(point)})[:MAX_ENTRY_POINTS]


def is_entry_point(point: EntryPoint) -> bool:
    """Tell if a group, a name and an object can stand in ``entry_points.txt``, a line each, and mean themselves."""
    return (
        all(text.isascii() and text.isprintable() and len(text) <= MAX_CHARS for text in point)
        and _group.match(point[0]) is not None
        and _name.match(point[1]) is not None
        and _object.match(point[2]) is not None
    )


def entry_points_text(points: Iterable[EntryPoint]) -> str:
    """The text of ``entry_points.txt``: a section for each group. ``points`` are sorted."""
    lines: list[str] = []
    last = None
    for group, name, target in points:
        if group != last:
            lines.append(f"[{group}]")
            last = group
        lines.append(f"{name} = {target}")
    return "".join(f"{line}\n" for line in lines)


def _declared(packaging: PackagingFiles) -> Iterator[EntryPoint]:
    project = packaging.toml("pyproject.toml")
    yield from _in_tables(dig(project, "project", "entry-points"))
    poetry = dig(project, "tool", "poetry")
    yield from _in_tables(dig(poetry, "plugins"))
    for group, table in (
        ("console_scripts", dig(project, "project", "scripts")),
        ("gui_scripts", dig(project, "project", "gui-scripts")),
        ("console_scripts", dig(poetry, "scripts")),
    ):
        yield from _in_tables({group: table})
    config = packaging.config("setup.cfg")
    if config.has_section("options.entry_points"):
        yield from _in_tables({group: _lines(text) for group, text in config.items("options.entry_points")})
    yield from _in_tables(_in_setup(packaging))
    for name in packaging.names():
        if name.endswith((".egg-info", ".dist-info")):
            yield from _in_file(packaging, f"{name}/entry_points.txt")


def _in_tables(tables: object) -> Iterator[EntryPoint]:
    """Groups with their points: a table by name, or lines ``name = object``."""
    for group, table in tables.items() if isinstance(tables, Mapping) else ():
        pairs: Iterable[Sequence[object]] = table.items() if isinstance(table, Mapping) else ()
        if isinstance(table, list):
            pairs = [line.split("=", 1) for line in table if isinstance(line, str) and "=" in line]
        for name, target in pairs:
            if isinstance(group, str) and isinstance(name, str) and isinstance(target, str):
                yield group, name.strip(), target.strip()


def _lines(text: str | None) -> list[str]:
    return [line for line in (text or "").split("\n") if line.strip()]


def _in_setup(packaging: PackagingFiles) -> object:
    """The ``entry_points`` of a ``setup.py``, where they are a literal."""
    data = packaging.read("setup.py", METADATA_BYTES)
    call = setup_call(data) if data is not None else None
    for keyword in call.keywords if call is not None else ():
        if keyword.arg == "entry_points":
            try:
                value = ast.literal_eval(keyword.value)
            except (ValueError, TypeError, MemoryError, RecursionError):
                return None  # made by code, which is not run here
            if isinstance(value, dict):
                return {group: _lines(text) if isinstance(text, str) else text for group, text in value.items()}
    return None


def _in_file(packaging: PackagingFiles, path: str) -> Iterator[EntryPoint]:
    data = packaging.read(path, METADATA_BYTES)
    if data is None:
        return
    group = ""
    for line in map(str.strip, data.decode("utf-8", "replace").split("\n")):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif "=" in line:
            name, target = line.split("=", 1)
            yield group, name.strip(), target.strip()
