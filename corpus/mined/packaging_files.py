"""Reads the files in which a repository says what it is: TOML, INI files, mail headers, ``setup.py``.

A parser of such a file may take far longer than the file is long: ``tomllib`` goes over a key of n parts n times,
``configparser``'s expression over a line of n spaces n times. So each is given bounded text of a form over which its
time grows with the length alone, and a clock besides. A file that is missing or broken is read as an empty one: what
it says makes modules easier to find, but a repository without it is mined too.
"""

from __future__ import annotations

import ast
import configparser
import os
import tomllib
from collections.abc import Callable, Mapping
from email.message import Message
from email.parser import HeaderParser
from itertools import islice
from pathlib import Path
from typing import TypeVar

from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.files import parse, read_bytes
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop

Made = TypeVar("Made")

MAX_PACKAGING_BYTES = 256 << 10
"""Larger files of TOML or INI are not read; the largest of 2,000 projects has 60 kB."""
METADATA_BYTES = 2 << 20
"""Bytes of metadata, which hold a README, or of ``setup.py``."""
MAX_DOTS = 100
"""Dots in a line of TOML: 40 kB of them in one key took 11 s."""
MAX_LISTED = 10_000
"""Names of a folder that are looked at; a repository's root has some twenty."""
PACKAGING_SECONDS = 10.0
"""CPU time for one packaging file, a hundred times what the largest ones take."""


class PackagingFiles:
    """The packaging files of one repository.

    Args:
        root: the repository's folder.

    Attributes:
        drops: by path, the files that were asked for, are there, and can't be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drops: dict[str, Drop] = {}

    def read(self, path: str, max_bytes: int = MAX_PACKAGING_BYTES) -> bytes | None:
        """The bytes of a file; None where it is missing, or can't be read, which ``drops`` then says."""
        if not os.path.lexists(self.root / path):
            return None
        data = read_bytes(self.root, path, max_bytes)
        if isinstance(data, Drop):
            self.drops[path] = data
            return None
        return data

    def within_limits(self, path: str, read: Callable[[], Made], otherwise: Made, seconds: float) -> Made:
        """The result of ``read``; ``otherwise`` where that goes over a limit, which ``drops`` then says of the path."""
        made = within_limits(read, seconds)
        if isinstance(made, Drop):
            self.drops[path] = made
            return otherwise
        return made

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder of the repository, sorted; none where it is missing or no folder."""
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entry.name for entry in islice(entries, MAX_LISTED))
        except OSError:
            return []

    def toml(self, path: str) -> Mapping[str, object]:
        """The tables of a TOML file."""
        text = self._text(path)
        if max((line.count(".") for line in text.split("\n")), default=0) > MAX_DOTS:
            self.drops[path] = Drop(reason=Reason.TOO_DEEP, evidence=f"more than {MAX_DOTS} dots in a line")
            return {}
        nothing: Mapping[str, object] = {}
        return self.within_limits(path, lambda: _tables(text), nothing, PACKAGING_SECONDS)

    def config(self, path: str) -> configparser.RawConfigParser:
        """The sections of an INI file."""
        text = self._text(path)
        empty = configparser.RawConfigParser()
        return self.within_limits(path, lambda: _sections(text), empty, PACKAGING_SECONDS)

    def headers(self) -> Message:
        """The metadata of an sdist, a wheel or an installation, which have the format of mail headers."""
        names = self.names()
        candidates = [
            "PKG-INFO",
            "METADATA",
            *(f"{name}/METADATA" for name in names if name.endswith(".dist-info")),
            *(f"{name}/PKG-INFO" for name in names if name.endswith(".egg-info")),
        ]
        for path in candidates:
            data = self.read(path, METADATA_BYTES)
            if data:
                # The body, which is a README, is not parsed: mail in it may nest without end.
                text = data.decode("utf-8", "replace")
                return self.within_limits(path, lambda: HeaderParser().parsestr(text), Message(), PACKAGING_SECONDS)  # noqa: B023  # called at once
        return Message()

    def setup_keywords(self) -> Mapping[str, str]:
        """The keyword arguments of the ``setup(...)`` call in ``setup.py`` that are string literals."""
        data = self.read("setup.py", METADATA_BYTES)
        if data is None:
            return {}
        nothing: Mapping[str, str] = {}
        return self.within_limits("setup.py", lambda: _keywords_of_setup(data), nothing, PACKAGING_SECONDS)

    def setup_names(self) -> frozenset[str]:
        """The names of all keyword arguments of the ``setup(...)`` call in ``setup.py``."""
        data = self.read("setup.py", METADATA_BYTES)
        if data is None:
            return frozenset()
        call = self.within_limits("setup.py", lambda: setup_call(data), None, PACKAGING_SECONDS)
        return (
            frozenset(each.arg for each in call.keywords if each.arg is not None) if call is not None else frozenset()
        )

    def _text(self, path: str) -> str:
        """A file's text with the line ends of Python; empty where it is missing or not UTF-8."""
        data = self.read(path)
        try:
            return (data or b"").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            return ""


def dig(value: object, *keys: str) -> object:
    """``value[key][key]...`` of nested tables; None where a level is missing or is no table."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _tables(text: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):  # ValueError: TOMLDecodeError, and a number of more digits than int() takes
        return {}


def _sections(text: str) -> configparser.RawConfigParser:
    # Raw: `%` in a value is no interpolation. Not strict: setuptools accepts a key that stands there twice.
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string("\n".join(map(_with_single_spaces, text.split("\n"))))
    except (configparser.Error, ValueError, AttributeError):
        # AttributeError: CPython's own, over an indented line that follows a key without a value
        return configparser.RawConfigParser()
    return parser


def _with_single_spaces(line: str) -> str:
    """The line with one space in the place of several, but for its indentation, which says what it goes on from.

    ``configparser`` takes a stripped line apart by ``(.*?)\\s*(?:[=:]...)?``, which tries each space of a run with all
    that follow it.
    """
    return line[: len(line) - len(line.lstrip())] + " ".join(line.split())


def setup_call(data: bytes) -> ast.Call | None:
    """The ``setup(...)`` call of a ``setup.py``; None where there is none, or the file can't be parsed."""
    tree = parse(data.decode("utf-8", "replace"))
    if isinstance(tree, Drop):
        return None
    # `setup(...)` or `setuptools.setup(...)`; the first one counts, as further ones would install something else
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return next((call for call in calls if _last_name(call.func) == "setup"), None)


def _keywords_of_setup(data: bytes) -> Mapping[str, str]:
    call = setup_call(data)
    return {
        keyword.arg: keyword.value.value
        for keyword in (call.keywords if call is not None else ())
        if keyword.arg is not None and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    }


def _last_name(node: ast.expr) -> str | None:
    """``c`` of ``a.b.c``; None for what is neither a name nor an attribute."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
