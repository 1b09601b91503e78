"""The part that engines of clusters share: units go out as bytes and come back as bytes, whatever carries them.

A worker that lacks a bundle (a repository, an environment) says so instead of running the unit. The bundle is then sent
to its machine, once for all workers there, one chunk after the other, so that neither side holds more than a chunk, and
the unit is handed out again, with that machine as the wish.

A unit whose worker died is put aside, and the others go on; ``WorkersLost`` names all that were put aside when nothing
else is left to do for the moment.
"""

from __future__ import annotations

import importlib.util
import pickle
import secrets
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from trace_mine.corpus.engines.contract import UnitCall, WorkersLost
from trace_mine.corpus.engines.keys import KeySource
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.sending.bundle import bundle_chunks, bundle_name
from trace_mine.corpus.sending.store import store_here
from trace_mine.corpus.sending.unit import LackedBundles, UnitResult
from trace_mine.corpus.work import Marker

ASK_SECONDS = 0.2
"""Seconds after which the source of keys is asked again, though no unit has finished."""
WORKERS_SECONDS = 300.0
"""Seconds that a cluster may have no worker: one that grows on demand takes minutes."""
MAX_SENDINGS = 5
"""How often a bundle is sent to one place before the run is given up: each may be cut off by a worker's death."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a call: where it ran, and what it returned or raised."""

    where: str
    value: object = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Says that a call did not come back, as so many workers died over it."""

    deaths: int = 1


class Cluster(Protocol):
    """Carries calls to workers, and what comes of them back."""

    def num_workers(self) -> int:
        """Return how many workers there are now."""

    def submit(self, call: bytes, near: str) -> Hashable:
        """Have a worker do ``answer_of(call, WHERE)``, where possible the one of an earlier answer's ``where``.

        Returns:
            The call's ticket.
        """

    def finished(self, seconds: float) -> Sequence[tuple[Hashable, Answer | Death]]:
        """Wait for so many seconds at most, and return what has come back since.

        Raises:
            CorpusError: the cluster is gone, or can't run the calls.
        """

    def forget(self) -> None:
        """Cancel all calls that are under way."""

    def close(self) -> None:
        """End the workers, if they were started for this cluster, and let go of it."""


def answer_of(call: bytes, where: str) -> Answer:
    """Do a call, in a worker."""
    try:
        return Answer(where=where, value=pickle.loads(call)())
    except Exception as error:
        return Answer(where=where, error=_portable(error))


def _portable(error: Exception) -> Exception:
    """The exception, or one that says the same where it can't be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The call that hands a chunk to the store of a worker's machine."""

    name: str
    sending: str
    offset: int
    data: bytes
    is_last: bool

    def __call__(self) -> tuple[str, bool]:
        store = store_here()
        is_here = store.receive(self.name, self.sending, self.offset, self.data, is_last=self.is_last)
        return store.place, is_here


@dataclass(slots=True)
class _Sending:
    """A bundle on its way to a place, and the units that wait for it."""

    name: str
    place: str
    near: str
    chunks: Iterator[tuple[bytes, bool]]
    number: str = field(default_factory=partial(secrets.token_hex, 8))
    offset: int = 0
    is_over: bool = False
    waiting: list[str] = field(default_factory=list)

    def next_call(self) -> bytes:
        data, self.is_over = next(self.chunks)
        call = _Chunk(self.name, self.number, self.offset, data, self.is_over)
        self.offset += len(data)
        return pickle.dumps(call)


@dataclass(slots=True)
class _Out:
    """A unit that was handed out."""

    call: bytes
    paths: dict[str, Path]
    lacks: set[tuple[str, str]] = field(default_factory=set)  # place and name of bundles on their way
    near: str = ""


class ClusterEngine:
    """An ``Engine`` of a cluster, which is kept from one run to the next.

    Args:
        start: starts a cluster or connects to one; called once there is a unit.
    """

    def __init__(self, start: Callable[[], Cluster]) -> None:
        self._start = start
        self._cluster: Cluster | None = None

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        """Yield (key, marker) of each unit when it is finished: see ``Engine.run``."""
        try:
            while (key := keys.take()) is None:
                if keys.left() == 0:
                    return  # a run that goes on with everything done starts no process
                keys.wait(1, ASK_SECONDS)
            if self._cluster is None:
                self._cluster = self._start()
            yield from _Run(self._cluster, task, keys, key).results()
        except WorkersLost:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers that were started here, and the connection."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()


def check_engine(jobs: int, package: str, extra: str) -> None:
    """Check what all engines of clusters ask for.

    Raises:
        ValueError: there are no jobs.
        CorpusError: the package is not installed.
    """
    if jobs < 1:
        raise ValueError(f"expected jobs >= 1, got {jobs}; one worker is the least")
    if importlib.util.find_spec(package) is None:
        raise CorpusError(
            f"expected the package {package} for the engine {extra}, got none; do pip install 'trace-mine[{extra}]'",
            exit_code=2,
        )


class _Run:
    def __init__(self, cluster: Cluster, task: UnitCall, keys: KeySource, first: str) -> None:
        self._cluster, self._task, self._keys = cluster, task, keys
        self._next: str | None = first
        self._out: dict[str, _Out] = {}
        self._order: list[str] = []
        self._lost: dict[str, int] = {}
        self._tickets: dict[Hashable, str | _Sending] = {}
        self._sendings: dict[tuple[str, str], _Sending] = {}
        self._num_sent: dict[tuple[str, str], int] = {}
        self._names: dict[Path, str] = {}
        self._last_worker = time.monotonic()

    def results(self) -> Generator[tuple[str, Marker], None, None]:
        is_whole = False
        try:
            while True:
                self._hand_out()
                if not self._out:
                    if self._lost:
                        break
                    if self._keys.left() == 0:
                        is_whole = True
                        return
                    self._keys.wait(1, ASK_SECONDS)
                    continue
                finished: deque[tuple[str, Marker]] = deque()
                for ticket, answer in self._cluster.finished(ASK_SECONDS):
                    about = self._tickets.pop(ticket)
                    if isinstance(about, _Sending):
                        self._sent(about, answer)
                    elif (marker := self._answered(about, answer)) is not None:
                        finished.append((about, marker))
                yield from finished
                self._keys.left()  # raises where planning has ended
            is_whole = True
            raise WorkersLost(sorted(self._lost, key=self._order.index), deaths=max(self._lost.values()))
        finally:
            if not is_whole:
                self._cluster.forget()

    def _hand_out(self) -> None:
        num_workers = self._cluster.num_workers()
        if num_workers:
            self._last_worker = time.monotonic()
        elif time.monotonic() - self._last_worker > WORKERS_SECONDS:
            raise CorpusError(
                f"expected a worker in the cluster, got none for {WORKERS_SECONDS:.0f} s; start some, and the same "
                "command again: finished units are kept"
            )
        # Two for each worker: one runs, one waits, so that no worker idles while the answer travels.
        while len(self._out) < 2 * max(1, num_workers) and (key := self._next or self._keys.take()) is not None:
            self._next = None
            sent = self._task.sent(key, self._name_of)
            paths = {name: path for path, name in sent.bundles.items()}
            self._out[key] = _Out(pickle.dumps(sent), paths)
            self._order.append(key)
            self._submit(key)

    def _name_of(self, path: Path) -> str:
        if path not in self._names:
            self._names[path] = bundle_name(path)
        return self._names[path]

    def _submit(self, key: str) -> None:
        out = self._out[key]
        self._tickets[self._cluster.submit(out.call, out.near)] = key

    def _answered(self, key: str, answer: Answer | Death) -> Marker | None:
        """The marker of a unit that is finished; None where it is put aside, or waits for what its worker lacked."""
        if isinstance(answer, Death):
            self._lost[key] = answer.deaths
            del self._out[key]
            return None
        if answer.error is not None:
            raise answer.error
        if isinstance(answer.value, UnitResult):
            del self._out[key]
            return self._task.received(key, answer.value)
        assert isinstance(answer.value, LackedBundles)
        out = self._out[key]
        out.near = answer.where
        for name in answer.value.names:
            about = (answer.value.place, name)
            out.lacks.add(about)
            if about not in self._sendings:
                self._begin_sending(about, out.paths[name], answer.where)
            self._sendings[about].waiting.append(key)
        return None

    def _begin_sending(self, about: tuple[str, str], path: Path, near: str) -> None:
        place, name = about
        self._num_sent[about] = self._num_sent.get(about, 0) + 1
        if self._num_sent[about] > MAX_SENDINGS:
            raise CorpusError(
                f"expected {path.name!r} to arrive at a worker, got {MAX_SENDINGS} attempts that did not; if it "
                "changes while it is mined, start the same command again"
            )
        self._sendings[about] = _Sending(name, place, near, _with_last(bundle_chunks(path)))
        self._send_chunk(self._sendings[about])

    def _send_chunk(self, sending: _Sending) -> None:
        self._tickets[self._cluster.submit(sending.next_call(), sending.near)] = sending

    def _sent(self, sending: _Sending, answer: Answer | Death) -> None:
        """Send the next chunk, or hand out the units that waited, whether the bundle arrived or must be sent again."""
        if isinstance(answer, Answer):
            if answer.error is not None:
                raise answer.error
            assert isinstance(answer.value, tuple)
            place, is_here = answer.value
            if is_here and place == sending.place and not sending.is_over:
                self._send_chunk(sending)
                return
        del self._sendings[(sending.place, sending.name)]
        for key in sending.waiting:
            out = self._out[key]
            out.lacks.discard((sending.place, sending.name))
            if not out.lacks:
                self._submit(key)


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk, and whether it is the last one."""
    last = next(chunks)
    for chunk in chunks:
        yield last, False
        last = chunk
    yield last, True
