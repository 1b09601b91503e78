"""What forks of one run tell each other.

``Pipes`` are made before the first fork, so that every process has them: a request pipe for each place where a fork
point may wait, one pipe for all answers. Messages are marshalled plain data with length and MAC: bytes that a program
writes to descriptors at random are no answer. The key is no secret from the program; it could always spoil its own run.
"""

from __future__ import annotations

import _blake2
import fcntl
import marshal
import os
import resource
import select
import time
from typing import Any

MAC_BYTES = 16
HEAD_BYTES = 4 + MAC_BYTES
LARGEST = 64 << 20

clock = time.perf_counter  # bound, as all below, before a program can replace it
_read, _write, _close, _pipe, _fstat = os.read, os.write, os.close, os.pipe, os.fstat
_poll, _fcntl = select.poll, fcntl.fcntl
_digest = _blake2.blake2b
_dumps: Any = marshal.dumps
_loads: Any = marshal.loads


class Broken(Exception):
    """The pipes are closed, replaced or hold what nobody of us wrote: no more forks in this run."""


class Late(Exception):
    """No answer in time."""


class Pipes:
    """One request pipe for each slot, one for answers; their descriptors are high ones, which no program is given."""

    def __init__(self, num_slots: int) -> None:
        self._key = f"{clock()} {id(self)}".encode()
        lowest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._ends: list[tuple[int, int]] = []
        for _ in range(num_slots + 1):
            low = _pipe()
            self._ends.append(
                (_fcntl(low[0], fcntl.F_DUPFD_CLOEXEC, lowest), _fcntl(low[1], fcntl.F_DUPFD_CLOEXEC, lowest))
            )
            for fd in low:
                _close(fd)
        self._known = [(_identity(reader), _identity(writer)) for reader, writer in self._ends]

    @property
    def descriptors(self) -> frozenset[int]:
        """The pipes' ends."""
        return frozenset(fd for ends in self._ends for fd in ends)

    def request(self, slot: int, told: object) -> None:
        """From the root to the fork point that waits at ``slot``. Raises Broken."""
        self._send(slot, told)

    def requested(self, slot: int) -> Any:
        """What the root wants. Raises Broken, also where the root is gone."""
        return self._receive(slot, None)

    def answer(self, told: object) -> None:
        """To the root. Raises Broken, ValueError for what is no plain data."""
        self._send(-1, told)

    def answered(self, until: float) -> Any:
        """What some fork told. Raises Broken, Late."""
        return self._receive(-1, until)

    def keep_forks_ends(self) -> None:
        """In a fork: it neither requests nor hears answers, so that the end of the root is the end of the pipes."""
        for _, writer in self._ends[:-1]:
            _close(writer)
        _close(self._ends[-1][0])

    def close(self) -> None:
        """Ends all communication, in the root: forks that wait see the end of their pipe, and exit."""
        for ends, known in zip(self._ends, self._known, strict=True):
            for fd, identity in zip(ends, known, strict=True):
                if _identity(fd) == identity:
                    _close(fd)

    def _send(self, slot: int, told: object) -> None:
        payload: bytes = _dumps(told)
        mac = _digest(payload, key=self._key, digest_size=MAC_BYTES).digest()
        message = len(payload).to_bytes(4, "big") + mac + payload
        writer = self._ends[slot][1]
        if _identity(writer) != self._known[slot][1]:
            raise Broken("the program closed or replaced a pipe")
        try:
            while message:
                message = message[_write(writer, message) :]
        except OSError as error:
            raise Broken(str(error)) from error

    def _receive(self, slot: int, until: float | None) -> Any:
        reader = self._ends[slot][0]
        if _identity(reader) != self._known[slot][0]:
            raise Broken("the program closed or replaced a pipe")
        head = self._exactly(reader, HEAD_BYTES, until)
        size = int.from_bytes(head[:4], "big")
        if size > LARGEST:
            raise Broken(f"expected at most {LARGEST} bytes, got {size}")
        payload = self._exactly(reader, size, until)
        if _digest(payload, key=self._key, digest_size=MAC_BYTES).digest() != head[4:]:
            raise Broken("expected a message of ours, got other bytes")
        return _loads(payload)

    def _exactly(self, reader: int, size: int, until: float | None) -> bytes:
        found = bytearray()
        poll = _poll()
        poll.register(reader, select.POLLIN)
        try:
            while len(found) < size:
                if until is not None and not poll.poll(max(0.0, until - clock()) * 1000):
                    raise Late
                chunk = _read(reader, min(size - len(found), 1 << 20))
                if not chunk:
                    raise Broken("closed")
                found += chunk
        except OSError as error:
            raise Broken(str(error)) from error
        return bytes(found)


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        told = _fstat(fd)
    except OSError:
        return None
    return told.st_dev, told.st_ino
