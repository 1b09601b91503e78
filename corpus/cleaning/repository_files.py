"""Cleans a repository: its files with fakes in the place of secrets and personal data. Runs in the reader's sandbox.

Python, notebooks, text and the usual formats of data and settings are cleaned, in UTF-8 or Latin-1. A secret that is
told by its surroundings in one place (``api_key = "..."``) is replaced wherever the repository has it, so that a test
still compares what it did.
"""

from __future__ import annotations

import io
import re
import string
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from trace_mine.corpus.cleaning.fakes import is_secret_fake, secret_like
from trace_mine.corpus.cleaning.kinds import Finding, Kind
from trace_mine.corpus.cleaning.provider_keys import is_random
from trace_mine.corpus.cleaning.python_source import scrub_python
from trace_mine.corpus.cleaning.scrub import Finder, Scrubbed, places_of, scrub
from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.files import NOTEBOOK_SUFFIXES, PYTHON_SUFFIXES, TEXT_SUFFIXES, read_bytes, walk
from trace_mine.tracer.schema import Drop

DATA_SUFFIXES: tuple[str, ...] = (
    ".json",
    ".jsonl",
    ".csv",
    ".tsv",
    ".yaml",
    ".yml",
    ".toml",
    ".cfg",
    ".ini",
    ".env",
    ".xml",
    ".html",
)
DATA_SUFFIXES += (".log", ".conf", ".pyi", ".in", ".pem", ".key", ".eml")
CLEANED_SUFFIXES = (*PYTHON_SUFFIXES, *TEXT_SUFFIXES, *NOTEBOOK_SUFFIXES, *DATA_SUFFIXES)
FILE_SECONDS = 10.0
"""CPU time for one file; one of 2 MB takes 0.5 s."""
MAX_CLEANED_CHARS = 24 << 20
"""Characters of cleaned files that one answer holds; further ones stay as they are, and their rows are checked."""
_NEVER_RUN = re.compile(
    r"(?:pyproject\.toml|setup\.cfg|PKG-INFO|(?:LICEN[CS]E|COPYING|AUTHORS|CONTRIBUTORS|MAINTAINERS|CODEOWNERS)[^/]*+)\Z"
)
"""Files at the root that say who made it: nothing runs them, and a copy of the repository isn't made for their sake."""
MAX_KNOWN = 200
"""Secrets of a repository that are looked for everywhere in it."""
MIN_KNOWN_CHARS = 7
MAX_EXAMPLES = 50
MAX_LINE = 1_000
"""Characters of a line that the patterns of others are tried on: nobody says how long they take for a longer one."""
_DRAWN = re.compile(r"(?<![A-Za-z0-9_\-+/=.])(?=[A-Za-z_\-+/=.]{0,100}[0-9])[A-Za-z0-9_\-+/=.]{12}")
"""Twelve characters of a word with a digit, as drawn texts have. A line without them is given to no other pattern."""
_WORD_MARKS = frozenset(f"{string.ascii_letters}{string.digits}_.-")
_SEARCHED_EVERYWHERE = (Kind.PROVIDER_KEY, Kind.ASSIGNED_SECRET, Kind.CONNECTION_PASSWORD, Kind.DETECT_SECRETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedText:
    """A file with fakes in it.

    Attributes:
        path: where it is, relative to the root.
        new_path: where its clean copy is to be: another one where the name itself was secret or personal.
        encoding: ``utf-8`` or ``iso-8859-1``.
        text: its whole text.
    """

    path: str
    new_path: str
    encoding: str
    text: str


@dataclass(slots=True, kw_only=True)
class CleaningCounts:
    """Counts of the values replaced in a repository, and their places.

    Attributes:
        num_files: files that were looked at.
        replaced: findings by kind.
        examples: path, line and kind of the first ones; never the value.
        kept: files that would have become other programs, or are too many: they stay as they are.
    """

    num_files: int = 0
    replaced: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, int, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def clean_files(root: Path, patterns: Sequence[str], counts: CleaningCounts) -> Iterator[CleanedText]:
    """Give the files of a repository that have something to replace, cleaned.

    Args:
        root: the repository's folder.
        patterns: further patterns of secrets, those of ``detect-secrets``.
        counts: filled while the files are given.
    """
    compiled = [re.compile(pattern) for pattern in patterns]
    foreign: Finder = partial(matches_of, patterns=compiled)
    results: dict[str, Scrubbed | None] = {}
    known: dict[str, tuple[str, Kind]] = {}
    for file in walk(root, CLEANED_SUFFIXES):
        if file.drop is not None or _NEVER_RUN.match(file.path):
            continue
        if (decoded := decoded_text(root, file.path)) is not None:
            result = _scrubbed(decoded[0], file.path, (foreign,))
            # of a clean file nothing need be held
            results[file.path] = result if result is None or result.findings else None
            if result is None:
                counts.kept.append(file.path)
            else:
                _add_known(decoded[0], result, known)
    counts.num_files = len(results)
    everywhere: Finder = partial(known_values, known=known)
    num_chars = 0
    for path, result in results.items():
        new_path = clean_path(path)
        if path in counts.kept or (result is None and not known and new_path == path):
            continue
        decoded = decoded_text(root, path)
        if decoded is None:  # it was there a moment ago
            continue
        text, encoding = decoded
        if known and any(value in text for value in known):
            result = _scrubbed(text, path, (foreign, everywhere))
        result = result or Scrubbed(text=text, findings=())
        if not result.findings and new_path == path:
            continue
        num_chars += len(result.text)
        if num_chars > MAX_CLEANED_CHARS:
            counts.kept.append(path)
            continue
        _count(counts, text, result, path, new_path)
        yield CleanedText(path=path, new_path=new_path, encoding=encoding, text=result.text)


def _add_known(text: str, result: Scrubbed, known: dict[str, tuple[str, Kind]]) -> None:
    """Add what a file has to the values that are looked for everywhere: secrets, and names such as ``jane.doe``."""
    for finding in result.findings:
        value = text[finding.start : finding.end]
        if finding.kind in _SEARCHED_EVERYWHERE and len(value) >= MIN_KNOWN_CHARS and len(known) < MAX_KNOWN:
            known[value] = (finding.fake, finding.kind)
        elif finding.kind is Kind.EMAIL and "@" in value and len(known) < MAX_KNOWN:
            name, faked = value.split("@")[0], finding.fake.split("@")[0]
            if len(name) >= MIN_KNOWN_CHARS and not name.isalnum():
                known[name] = (faked, finding.kind)


def _count(counts: CleaningCounts, text: str, result: Scrubbed, path: str, new_path: str) -> None:
    counts.replaced.update(result.counts)
    if new_path != path:
        counts.replaced.update(str(finding.kind) for finding in scrub(path).findings)
        counts.examples.append((new_path, 0, "name"))
    for finding in result.findings[: max(0, MAX_EXAMPLES - len(counts.examples))]:
        counts.examples.append((new_path, text.count("\n", 0, finding.start) + 1, str(finding.kind)))


def _scrubbed(text: str, path: str, finders: Sequence[Finder]) -> Scrubbed | None:
    """The cleaned text of a file; None where it must stay as it is, or takes too long."""
    cleaner = scrub_python if path.endswith(PYTHON_SUFFIXES) else scrub
    result = within_limits(partial(cleaner, text, finders), FILE_SECONDS)
    return None if isinstance(result, Drop) else result


def decoded_text(root: Path, path: str) -> tuple[str, str] | None:
    """A file's text and encoding; None where it is binary, in another encoding, or can't be read."""
    data = read_bytes(root, path)
    if isinstance(data, Drop) or b"\0" in data:
        return None
    encoding = "utf-8"
    if path.endswith(PYTHON_SUFFIXES):
        try:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        except (SyntaxError, LookupError, ValueError):
            return None
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    if encoding not in ("utf-8", "iso-8859-1"):
        return None
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding), encoding
    except UnicodeDecodeError:
        return None


def clean_path(path: str) -> str:
    """A path with fakes in the names of its folders and its file; suffixes stay.

    >>> clean_path("data/notes.txt"), clean_path("data/212-736-5000.txt").endswith(".txt")
    ('data/notes.txt', True)
    """
    *folders, name = path.split("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return "/".join([*(scrub(folder).text for folder in folders), f"{scrub(stem).text}{dot}{suffix}"])


def matches_of(text: str, patterns: Sequence[re.Pattern[str]]) -> Iterator[Finding]:
    """Find what the patterns of others match, line by line: the last group that is there, or the whole match."""
    start = 0
    for line in text.split("\n"):
        if 16 <= len(line) <= MAX_LINE and _DRAWN.search(line):
            for pattern in patterns:
                for match in pattern.finditer(line):
                    group = _secret_group(match)
                    value = match.group(group)
                    if len(value) >= 12 and is_random(value) and not is_secret_fake(value):
                        yield Finding(
                            kind=Kind.DETECT_SECRETS,
                            start=start + match.start(group),
                            end=start + match.end(group),
                            fake=secret_like(value),
                        )
        start += len(line) + 1


def _secret_group(match: re.Match[str]) -> int:
    """The longest group of a match that is a secret of its own; 0 where there is none."""
    groups = [number for number in range(1, match.re.groups + 1) if len(match.group(number) or "") >= 12]
    return max(groups, key=lambda number: len(match.group(number)), default=0)


def known_values(text: str, known: Mapping[str, tuple[str, Kind]]) -> Iterator[Finding]:
    """Find values of the repository, with their fakes, wherever they stand as words of their own."""
    for value, (fake, kind) in known.items():
        for start in places_of(value, text):
            end = start + len(value)
            if text[start - 1 : start] not in _WORD_MARKS and text[end : end + 1] not in _WORD_MARKS:
                yield Finding(kind=kind, start=start, end=end, fake=fake)
