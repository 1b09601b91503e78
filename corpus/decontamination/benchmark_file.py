"""The index of benchmarks on disk: where it is kept, how it is opened, and what of a session it refuses."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trace_mine.corpus.decontamination.benchmark_index import BenchmarkIndex, index_of
from trace_mine.corpus.decontamination.code_keys import gram_keys
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.event_log import EventSource
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, OpenedFunction, Trace

FILE_NAME = "benchmarks.json"

Place = tuple[str, int, int, str]
"""A path, a first and a last line, and the problem that stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkFile:
    """An index on disk.

    Attributes:
        path: the file.
        digest: the hash of its content.
        num_problems: the problems in it.
    """

    path: Path
    digest: str
    num_problems: int


def default_place() -> Path:
    """Where an index is looked for when none is named: ``trace-mine/benchmarks.json`` of the user's data folder."""
    folder = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(folder) / "trace-mine" / FILE_NAME


def no_benchmarks() -> str:
    """The line for people where rows are held to no benchmark."""
    return (
        f"no benchmarks: none by --decontaminate, and no index at {default_place()} "
        "(python -m trace_mine.corpus.decontamination FILE... builds one)"
    )


def save_index(index: BenchmarkIndex, path: Path) -> BenchmarkFile:
    """Write an index to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(index.to_json(), sort_keys=True).encode("ascii")
    write_atomically(path, data)
    return BenchmarkFile(path=path, digest=_digest(data), num_problems=len(index.problems))


def benchmark_sources(files: Sequence[Path]) -> tuple[Path, ...]:
    """The files that an index is made of: those that are named, else the index at the default place, if any."""
    place = default_place()
    return tuple(files) or ((place,) if place.is_file() else ())


def sources_digest(files: Sequence[Path]) -> str:
    """The hash of the contents of files; empty where there are none.

    Raises:
        CorpusError: a file can't be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise CorpusError(
                f"expected a file of benchmark problems, got {path.name}: {error.strerror}; check the spelling",
                exit_code=2,
            ) from None
    return digest.hexdigest()[:32] if files else ""


def benchmark_file(files: Sequence[Path], digest: str, folder: Path) -> BenchmarkFile | None:
    """The index of files, made in a folder of ours, which is shown to the reader's sandbox; None without files.

    Args:
        files: benchmarks, or indices: the result of ``benchmark_sources``.
        digest: their ``sources_digest``.
        folder: where the index is written.

    Raises:
        CorpusError: a file is missing or is no benchmark.
    """
    if not files:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    made = save_index(index_of(files), folder / f"{digest}-{FILE_NAME}")
    os.chmod(made.path, 0o644)
    return made


@cache
def open_index(path: str) -> BenchmarkIndex:
    """The index of a file, read once by each process: its name has the hash of what it was made of.

    Args:
        path: the file.

    Raises:
        CorpusError: the file is gone or damaged.
    """
    try:
        return BenchmarkIndex.from_json(json.loads(Path(path).read_bytes()))
    except (OSError, ValueError) as error:
        raise CorpusError(f"expected the index of benchmarks at {path}, got {error}; start the command again") from None


def problem_in(trace: Trace, places: Sequence[Place], path: str) -> Drop | None:
    """The drop of a session, or a record, that enters a problem's function or has a run of its words; None for others.

    Args:
        trace: what ran.
        places: of the repository, the lines that are a problem's.
        path: the file of the index.
    """
    sources: list[OpenedFunction | EventSource] = [*trace.source]
    if trace.events is not None:
        sources += trace.events.sources
    for function in sources:
        for file, first, last, name in places:
            # a piece or a module is not all of what stands in it
            if file == function.path and first <= function.line <= last and function.name != "<module>":
                return Drop(reason=Reason.BENCHMARK, evidence=f"{function.name} is {name}")
    index = open_index(path)
    for text in dict.fromkeys((trace.text, *(each.text for each in sources))):
        for key in gram_keys(text):
            if (number := index.words.get(key)) is not None:
                return Drop(reason=Reason.BENCHMARK, evidence=f"13 words of {index.problems[number]}")
    return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
