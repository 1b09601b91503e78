"""Reads ``scripts.yaml`` at a repository's root: how its scripts are started. Runs in the reader's sandbox.

A list of entries with the keys ``path`` (a script or notebook of the repository), ``arguments`` (a list of texts, or
one text that is split as a shell splits it), ``stdin`` (a text) or ``stdin_file`` (a file of the repository), and
``name``. Several entries may name one path; each is a snippet. Scalars are the text in the file, as ``01`` and ``on``.

Nothing is constructed and no alias is followed, so that a few lines can't stand for gigabytes. An entry that is wrong
is a problem with its line, and the others hold.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.files import read_bytes
from trace_mine.corpus.mined.packaging_files import MAX_PACKAGING_BYTES, PACKAGING_SECONDS
from trace_mine.corpus.mined.snippets.script_start import ScriptStart
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Snippet
from trace_mine.tracer.scripts import MAX_INPUT_BYTES

if TYPE_CHECKING:
    import yaml

FILE = "scripts.yaml"
KEYS = ("path", "arguments", "stdin", "stdin_file", "name")
MAX_STARTS = 1_000
"""Entries of one manifest."""
MAX_PROBLEMS = 20
"""Entries that are named as wrong; what stands behind them is not read, and is one drop."""
MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A repository's manifest.

    Attributes:
        starts: the starts of scripts, by file.
        problems: what is wrong, as (line, drop) pairs.

    Raises:
        ValueError: a problem has no line.
    """

    starts: Mapping[str, Sequence[ScriptStart]] = field(default_factory=dict)
    problems: tuple[tuple[int, Drop], ...] = ()

    def __post_init__(self) -> None:
        if any(line < 1 for line, _ in self.problems):
            raise ValueError("expected lines from 1 on in Manifest.problems, got others; count from 1")

    def snippets(self) -> list[tuple[Snippet, Drop]]:
        """A snippet without pieces for each problem, with its drop."""
        return [
            (Snippet(kind="script", name=f"{FILE}:{line}", path=FILE, line=line, end_line=line, pieces=()), drop)
            for line, drop in self.problems
        ]


class _Wrong(Exception):
    """Raised where the manifest, or an entry of it, is wrong: the line, and a sentence for people."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_manifest(root: Path, paths: Sequence[str] | None, searched: Sequence[str]) -> Manifest:
    """Read the manifest of a repository; an empty one where there is none.

    Args:
        root: the repository.
        paths: its files that could be read, among which those of all entries must be; None: a person named the files
            to search, and nobody asked for entries of others.
        searched: those of them that are searched; entries for others are left out.
    """
    if not os.path.lexists(root / FILE):
        return Manifest()
    read = within_limits(
        partial(_read, root, None if paths is None else frozenset(paths), frozenset(searched)), PACKAGING_SECONDS
    )
    if isinstance(read, Drop):
        return _broken(1, f"{read.reason}: {read.evidence}")
    return read


def _broken(line: int, message: str) -> Manifest:
    return Manifest(problems=((line, _drop(message)),))


def _drop(message: str) -> Drop:
    return Drop(reason=Reason.BAD_MANIFEST, evidence=message[:500])


def _read(root: Path, paths: frozenset[str] | None, searched: frozenset[str]) -> Manifest:
    import yaml  # few repositories have a manifest, and it takes some milliseconds

    data = read_bytes(root, FILE, MAX_PACKAGING_BYTES)
    if isinstance(data, Drop):
        return _broken(1, f"expected a readable {FILE}, got one that is {data.reason}: {data.evidence}")
    try:
        # The base loader: scalars stay the text that they are, tags construct nothing.
        top = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError) as error:  # of the decoder too
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        return _broken(line, f"expected YAML, got {' '.join(str(error).split())}; correct the file")
    if top is None:
        return Manifest()
    if not isinstance(top, yaml.SequenceNode) or len(top.value) > MAX_STARTS:
        expected = f"expected a list of at most {MAX_STARTS:,} entries, each with a path"
        return _broken(_line(top), f"{expected}, got {_shown(top)}; begin each entry with `- path: FILE`")
    entries = _Entries(root, paths)
    starts: list[ScriptStart] = []
    problems: list[tuple[int, Drop]] = []
    for number, node in enumerate(top.value, 1):
        try:
            starts.append(entries.start(node))
        except _Wrong as error:
            problems.append((error.line, _drop(str(error))))
            if len(problems) == MAX_PROBLEMS and number < len(top.value):
                behind = top.value[number]
                evidence = f"{len(top.value) - number} entries are not read, behind {MAX_PROBLEMS} that are wrong"
                problems.append((_line(behind), Drop(reason=Reason.BEYOND_LIMIT, evidence=evidence)))
                break
    return Manifest(starts=_named([each for each in starts if each.path in searched]), problems=tuple(problems))


def _named(starts: Sequence[ScriptStart]) -> dict[str, tuple[ScriptStart, ...]]:
    """The starts by file; of several that have no name, each gets its number behind the path."""
    by_path: dict[str, list[ScriptStart]] = {}
    for start in starts:
        by_path.setdefault(start.path, []).append(start)
    return {
        path: tuple(
            ScriptStart(
                path=path,
                name=start.name or (f"{path}#{number}" if len(group) > 1 else ""),
                arguments=start.arguments,
                stdin=start.stdin,
            )
            for number, start in enumerate(group, 1)
        )
        for path, group in by_path.items()
    }


class _Entries:
    """Makes starts of a manifest's nodes; each node counts once, since an alias gives the same one again."""

    def __init__(self, root: Path, paths: frozenset[str] | None) -> None:
        self._root = root
        self._paths = paths
        self._seen: set[int] = set()

    def start(self, node: yaml.Node) -> ScriptStart:
        """The start of an entry. Raises _Wrong."""
        values = self._pairs(node)
        path = self._path(values, "path", node)
        if self._paths is not None and path not in self._paths:
            raise _Wrong(
                _line(values["path"]),
                f"expected the path of a script or notebook of the repository that can be read, got {path!r}; write it "
                "relative to the root",
            )
        if "stdin" in values and "stdin_file" in values:
            raise _Wrong(_line(node), "expected stdin or stdin_file, got both; leave one out")
        name = self._text(values["name"], "name") if "name" in values else ""
        if len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise _Wrong(_line(values["name"]), f"expected a name of at most {MAX_NAME_CHARS} printable characters")
        try:
            return ScriptStart(
                path=path, name=name, arguments=self._arguments(values.get("arguments")), stdin=self._stdin(values)
            )
        except ValueError as error:
            raise _Wrong(_line(node), str(error)) from None

    def _pairs(self, node: yaml.Node) -> dict[str, yaml.Node]:
        import yaml

        self._see(node)
        if not isinstance(node, yaml.MappingNode):
            raise _Wrong(_line(node), f"expected an entry with the key path, got {_shown(node)}; write `- path: FILE`")
        values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            word = self._text(key, "a key")
            if word not in KEYS or word in values:
                kind = "twice" if word in values else "which is unknown"
                raise _Wrong(_line(key), f"expected keys among {', '.join(KEYS)}, got {word[:40]!r} {kind}")
            values[word] = value
        if "path" not in values:
            raise _Wrong(_line(node), "expected an entry with the key path, got one without; add it")
        return values

    def _path(self, values: Mapping[str, yaml.Node], key: str, node: yaml.Node) -> str:
        text = self._text(values[key], key)
        path = os.path.normpath(text) if text else ""
        if not path or path.startswith(("/", "../")) or path == ".." or "\0" in path:
            raise _Wrong(
                _line(node), f"expected a {key} within the repository, got {text[:100]!r}; write a relative one"
            )
        return path

    def _arguments(self, node: yaml.Node | None) -> tuple[str, ...]:
        import yaml

        if node is None:
            return ()
        if isinstance(node, yaml.SequenceNode):
            self._see(node)
            return tuple(self._text(each, "an argument") for each in node.value)
        text = self._text(node, "arguments")
        try:
            return tuple(shlex.split(text))
        except ValueError as error:  # a quotation that does not end
            raise _Wrong(_line(node), f"expected arguments as a shell reads them, got {error}; write a list") from None

    def _stdin(self, values: Mapping[str, yaml.Node]) -> bytes | None:
        if "stdin" in values:
            return self._text(values["stdin"], "stdin").encode()
        if "stdin_file" not in values:
            return None
        node = values["stdin_file"]
        data = read_bytes(self._root, self._path(values, "stdin_file", node), MAX_INPUT_BYTES)
        if isinstance(data, Drop):
            raise _Wrong(
                _line(node), f"expected a file as stdin_file that can be read, got {data.reason}: {data.evidence}"
            )
        return data

    def _text(self, node: yaml.Node, what: str) -> str:
        """The text of a scalar. Raises _Wrong where it is none, or not to be encoded."""
        import yaml

        self._see(node)
        if not isinstance(node, yaml.ScalarNode):
            raise _Wrong(_line(node), f"expected a text as {what}, got {_shown(node)}; write one text")
        text = str(node.value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Wrong(_line(node), f"expected a text as {what}, got a lone surrogate; leave it out") from None
        return text

    def _see(self, node: yaml.Node) -> None:
        if id(node) in self._seen:  # the whole tree is alive, so no two nodes have one id
            raise _Wrong(_line(node), "expected no aliases (`*name`), got one; write the value again")
        self._seen.add(id(node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _shown(node: yaml.Node) -> str:
    kind = type(node).__name__.removesuffix("Node").lower()
    return {"sequence": "a list", "mapping": "a mapping", "scalar": "a text"}.get(kind, kind)
