"""``trace-mine`` without processes of its own: repositories are read, and units are run, in the process of the tests.

To start a worker takes 0.9 s of CPU and the jail that reads repositories 0.5 s, the rest of a small mining with the
fake tracer 0.3 s. This is for tests of ledger, merge and files, which ask nothing of either; nothing that a stranger
wrote is read here. Workers are tested in tests/corpus/test_engines.py, the jail in mined/test_reader.py there, both
together in test_mining.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trace_mine.corpus.engines import ENGINES, KeySource, UnitCall
from trace_mine.corpus.mined import miner
from trace_mine.corpus.mined.reader import RepositoryReader
from trace_mine.corpus.mined.reader_protocol import request_of, request_text
from trace_mine.corpus.mined.reading import ANSWERS
from trace_mine.corpus.mined.tracing import close_tracer
from trace_mine.corpus.work import Marker
from trace_mine.tracer.inside.protocol.codec import Record
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.schema import Outcome


class OwnProcess:
    """An ``Engine`` that runs each unit in the thread that asks; ``before`` is called before each."""

    def __init__(self, before: Callable[[str], None] = lambda key: None) -> None:
        self.before = before
        self.is_closed = False

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        try:
            while keys.left() != 0:
                key = keys.take()
                if key is None:
                    keys.wait(1, 0.05)
                    continue
                self.before(key)
                yield key, task(key)
        finally:
            self.is_closed = True
            close_tracer()

    def close(self) -> None: ...


class UnconfinedReader(RepositoryReader):
    """A ``RepositoryReader`` without a jail; requests and answers are the same text."""

    def __init__(self, inputs: Sequence[Path], staging: Path, *, python: str = sys.executable, **levels: object):
        staging.mkdir(parents=True, exist_ok=True)
        self._staging = staging.resolve()
        self.level = 3

    def close(self) -> None: ...

    def _ask(self, request: Record, limits: Limits) -> Outcome:
        asked = request_of(request_text(request))
        return Outcome(status="ok", integrity="clean", stdout=b"".join(ANSWERS[type(asked)](asked)))

    def _inside(self, path: Path) -> str:
        return str(path)


def _reader(inputs: Sequence[Path], staging: Path, *, python: str = sys.executable, **levels: Any) -> RepositoryReader:
    """A reader without a jail, but where another interpreter has to read."""
    made = UnconfinedReader if python == sys.executable else RepositoryReader
    return made(inputs, staging, python=python, **levels)


@contextmanager
def in_own_process() -> Iterator[None]:
    """A context in which the engine ``loky`` and the reader start no process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "loky", lambda jobs, address=None: OwnProcess())
        patch.setattr(miner, "RepositoryReader", _reader)
        yield
