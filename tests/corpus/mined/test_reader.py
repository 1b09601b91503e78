"""The reader's process may do anything: what it does ends it, and what it says is checked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined import reader as reader_module
from trace_mine.corpus.mined.reader import READING_LIMITS, RepositoryReader, RepositoryReading
from trace_mine.corpus.mined.reader_protocol import READINGS, FoundSnippet, RepositorySummary, from_line, line_of
from trace_mine.corpus.mined.snippets import DEFAULT_ENTRIES, INVERSE_ENTRIES
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Drop

SMALL = Limits(cpu_seconds=1, wall_seconds=120.0, memory_bytes=256 << 20, output_bytes=1 << 20)
MODULE = '''\
def double(n):
    """
    >>> double(2)
    4
    """
    return 2 * n

def test_double():
    assert double(3) == 6
    assert double(4) == 8
'''


@pytest.fixture(scope="module", params=[3, 2])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RepositoryReader]:
    folder = tmp_path_factory.mktemp("inputs")
    folder.chmod(0o755)
    root = folder / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "project"\nversion = "1.0"\nlicense = "MIT"\n')
    (root / "test_module.py").write_text(MODULE)
    with RepositoryReader([folder], folder / "staging", maximum_level=request.param) as started:
        started.root = root  # type: ignore[attr-defined]
        yield started


def read(reader: RepositoryReader, **options: Any) -> RepositoryReading | Drop:
    options = {"entries": DEFAULT_ENTRIES, "prior": "none", "fallback_name": "x", **options}
    return reader.read(reader.root, **options)  # type: ignore[attr-defined]


def evidence(reading: RepositoryReading | Drop) -> str:
    assert isinstance(reading, Drop) and reading.reason == "unreadable_repository", reading
    return reading.evidence


def test_a_repository_is_read(reader: RepositoryReader) -> None:
    reading = read(reader)
    assert isinstance(reading, RepositoryReading)
    assert (reading.provenance.name, reading.provenance.licence) == ("project", "MIT")
    assert [candidate.snippet.kind for candidate in reading.candidates] == ["doctest", "test"]


def project(folder: Path) -> Path:
    """A repository of one module, beside what a reader stages, which would be read with it."""
    (folder / "project").mkdir()
    (folder / "project" / "m.py").write_text(MODULE)
    for each in (folder, folder / "project"):
        each.chmod(0o755)
    return folder / "project"


def test_each_level_reads_the_same(tmp_path: Path) -> None:
    root = project(tmp_path)
    readings = []
    for level in (2, 3):
        with RepositoryReader([root], tmp_path / "staging", maximum_level=level) as started:
            assert started.level == level
            readings.append(started.read(root, fallback_name="m", entries=INVERSE_ENTRIES))
    assert isinstance(readings[0], RepositoryReading) and readings[0] == readings[1]


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("while True: pass", "cpu"),
        ("import time\ntime.sleep(60)", "wall"),
        ("kept = []\nwhile True: kept.append(bytes(1 << 22))", "memory"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "output-limit"),
        ("import os\nos._exit(0)", "no-end"),
        ("import os\nos.abort()", "signal"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "exit"),
    ],
)
def test_what_hangs_crashes_or_grows_is_a_drop(
    reader: RepositoryReader, monkeypatch: pytest.MonkeyPatch, program: str, ended: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reader_module, "_PROGRAM", program)
        limits = replace(SMALL, wall_seconds=1.0) if ended == "wall" else SMALL
        assert ended in evidence(read(reader, limits=limits))
    assert isinstance(read(reader), RepositoryReading), "the next repository is read"


@pytest.mark.parametrize(
    "program",
    [
        "open('/etc/shadow')",
        "import socket\nsocket.socket()",
        "import os\nos.fork()",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "open({staging!r} + '/x', 'w')",
    ],
)
def test_the_reader_is_confined(reader: RepositoryReader, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(reader_module, "_PROGRAM", program.format(staging=str(reader._staging)))
    assert "Error" in evidence(read(reader, limits=SMALL))


def lines_of(reading: RepositoryReading) -> list[bytes]:
    return [line_of(READINGS, FoundSnippet.of(candidate)) for candidate in reading.candidates] + [
        line_of(READINGS, reading.summary)
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "/etc/passwd"),
        ("path", "a/../../b"),
        ("path", 1),
        ("sys_path", [".."]),
        ("sys_path", "src"),
        ("line", 1 << 70),
        ("line", -1),
        ("line", True),
        ("kind", "program"),
        ("module", "os; import sys"),
        ("drop", ["a reason of its own", "<img>"]),
        ("drop", ["too_deep", "a reason for files"]),
        ("licence", "<img onerror=alert(1)>"),
        ("source_hash", "f" * 65),
        ("num_skipped", 1.5),
        ("pieces", []),
        ("extra", 1),
        ("name", "x" * 10_000),
        ("asks", ["n"]),
    ],
)
def test_a_bad_snippet_is_refused(reader: RepositoryReader, field: str, value: object) -> None:
    reading = read(reader)
    assert isinstance(reading, RepositoryReading)
    ((tag, body),) = json.loads(lines_of(reading)[0]).items()
    with pytest.raises(ProtocolError):
        from_line(READINGS, json.dumps({tag: {**body, field: value}}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../x"),
        ("name", "\x1b[31m"),
        ("name", ""),
        ("version", "é"),
        ("commit", "main"),
        ("licence", "MIT\n## Licences"),
        ("fingerprint", "z" * 32),
        ("imports", ["a b"]),
        ("imports", ["x" * 300]),
        ("num_read", 1 << 60),
        ("unsearched", {"no_reason": 1}),
        ("unsearched", {"needs_fixture": 1}),
    ],
)
def test_a_bad_summary_is_refused(reader: RepositoryReader, field: str, value: object) -> None:
    reading = read(reader)
    assert isinstance(reading, RepositoryReading)
    ((tag, body),) = json.loads(lines_of(reading)[-1]).items()
    with pytest.raises(ProtocolError):
        from_line(READINGS, json.dumps({tag: {**body, field: value}}).encode())


def test_an_answer_of_the_wrong_shape_is_a_drop(reader: RepositoryReader, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read(reader)
    assert isinstance(reading, RepositoryReading) and isinstance(reading.summary, RepositorySummary)
    first, second, last = lines_of(reading)
    answers = [
        b"",
        b"[" * 100_000 + b"\n",
        b"\xff\n",
        b"{}\n",
        first,
        last,
        first + last,
        first + second + last + last,
        first + second + last + b"more",
        b"NaN\n" + last,
    ]
    for answer in answers:
        with monkeypatch.context() as patch:
            patch.setattr(
                reader_module, "_PROGRAM", f"import os\nos.write(1, {answer!r})".replace("{", "{{").replace("}", "}}")
            )
            assert evidence(read(reader, limits=SMALL)).startswith("the reader's answer")


def test_a_record_is_the_candidate(reader: RepositoryReader) -> None:
    for entries, prior in ((DEFAULT_ENTRIES, "none"), (INVERSE_ENTRIES, "mined")):
        reading = read(reader, entries=entries, prior=prior)
        assert isinstance(reading, RepositoryReading) and reading.candidates
        for candidate in reading.candidates:
            line = from_line(READINGS, line_of(READINGS, FoundSnippet.of(candidate)))
            assert isinstance(line, FoundSnippet) and line.candidate() == candidate


def test_limits_leave_room_for_a_repository() -> None:
    assert READING_LIMITS.wall_seconds > 2 * READING_LIMITS.cpu_seconds, "CPU time decides"


def test_the_umask_of_root_does_not_hide_our_code(tmp_path: Path) -> None:
    root = project(tmp_path)
    before = os.umask(0o077)
    try:
        with RepositoryReader([root], tmp_path / "staging") as started:
            assert isinstance(started.read(root, fallback_name="m", entries=DEFAULT_ENTRIES), RepositoryReading)
    finally:
        os.umask(before)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_jail_that_dies_at_its_start_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """A killed process of the jail shows as our code that can't be imported; the trials of kills met it once."""
    closed: list[bool] = []

    class Dying:
        level = 3

        def __init__(self, *arguments: object, **levels: object) -> None:
            self.warm_failures = {"reading": "Hangup: closed"} if len(closed) < deaths else {}

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(reader_module, "Worker", Dying)
    if deaths < reader_module.START_ATTEMPTS:
        assert RepositoryReader([], tmp_path).level == 3
    else:
        with pytest.raises(CorpusError, match="give the same command again"):
            RepositoryReader([], tmp_path)
    assert len(closed) == deaths
