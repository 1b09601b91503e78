"""A tracer that runs nothing: its session quotes the pieces and what they promise. Workers import it by name."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trace_mine.corpus.sending.unit import UnitResult
from trace_mine.corpus.work import Marker
from trace_mine.tracer.formats.repl import render
from trace_mine.tracer.schema import Drop, Snippet, Step, Trace


class FakeTracer:
    """Words in the source decide: ``DIE`` kills the process, ``ONCE_PATH`` too if there is a file PATH, which is
    removed, ``SLOW`` waits, ``BUG`` raises, ``DROP``, ``SUSPECT``;
    ``JAIL`` is a sandbox that died, where the variable ``FAKE_JAIL_DIES`` is set.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.closed = False

    def trace(self, snippet: Snippet) -> Trace | Drop:
        whole = "".join(piece.source for piece in snippet.pieces)
        if "DIE" in whole:
            os.kill(os.getpid(), signal.SIGKILL)
        if (flag := re.search(r"ONCE_([^\s']+)", whole)) and os.path.exists(flag[1]):
            os.unlink(flag[1])
            os.kill(os.getpid(), signal.SIGKILL)
        if "SLOW" in whole:
            time.sleep(0.05)
        if "JAIL" in whole and "FAKE_JAIL_DIES" in os.environ:
            return Drop(reason="jail_died", evidence="Hangup")
        if "BUG" in whole:
            raise LookupError("a bug in the tracer")
        if "DROP" in whole:
            return Drop(reason="replay_mismatch", evidence="as the test wants it")
        steps = [
            Step(source=piece.source.strip() or "pass", output=(piece.want or "").strip(), kind="statement")
            for piece in snippet.pieces
        ]
        rendered = render(steps)
        return Trace(
            text=rendered.text,
            segments=rendered.segments,
            steps=tuple(steps),
            setup={
                "sys_path": list(self.arguments["sys_path"]),
                "module": snippet.module,
                "code": snippet.code,
                "hash_seed": 0,
                "choices": [],
            },
            view={"policy": "written"},
            outcome="ok",
            exception=None,
            integrity="suspect" if "SUSPECT" in whole else "clean",
            sandbox={"level": 0, "layers": "none: a fake"},
            python="3.11.0",
            opened_calls=1,
            kept_whole={"async": 1} if "async" in whole else {},
            doctest_passed=True if snippet.kind == "doctest" else None,
        )

    def begin_unit(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def start_fake(arguments: Mapping[str, Any]) -> FakeTracer:
    return FakeTracer(arguments)


def marker_of(key: str) -> Marker:
    """A marker that only this key has."""
    return Marker(found=0, rows=0, drops=0, texts=(), repositories={}, bytes=len(key), sha256=key)


@dataclass(frozen=True)
class SentFake:
    """A task and a key as they go to a worker that gets neither from this disk."""

    task: MarkingTask
    key: str
    bundles = MappingProxyType({})

    def __call__(self) -> UnitResult:
        return UnitResult(marker=self.task(self.key), result=self.key.encode())


@dataclass(frozen=True)
class MarkingTask:
    """A ``Task`` that leaves a file named for the key, with the worker's number in it."""

    folder: Path

    def __call__(self, key: str) -> Marker:
        (self.folder / key).write_text(str(os.getpid()))
        return marker_of(key)

    def sent(self, key: str, name_of: Callable[[Path], str]) -> SentFake:
        return SentFake(self, key)

    def received(self, key: str, result: UnitResult) -> Marker:
        assert result.result == key.encode()
        return result.marker


@dataclass(frozen=True)
class DyingTask(MarkingTask):
    deadly: str

    def __call__(self, key: str) -> Marker:
        marker = MarkingTask.__call__(self, key)
        if key == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return marker


@dataclass(frozen=True)
class FailingTask(MarkingTask):
    def __call__(self, key: str) -> Marker:
        raise OSError(errno.ENOSPC, "full")


@dataclass(frozen=True)
class SlowTask(MarkingTask):
    """Quick with one key; with others it would take an hour."""

    quick: str

    def __call__(self, key: str) -> Marker:
        marker = MarkingTask.__call__(self, key)
        if key != self.quick:
            time.sleep(3600)
        return marker
