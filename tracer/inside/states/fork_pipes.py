"""Messages between the forks of one run: pipes, and how plain data is sent through them.

``Pipes`` are made before the first fork, so that every process has them: a request pipe for each slot where a fork
point may wait, and one pipe for all answers. A message is marshalled plain data with its length and a MAC, so that
bytes that a program writes to descriptors at random are no answer. The key is no secret from the program, which shares
the process; but it could always spoil its own run, and can spoil no other.
"""

from __future__ import annotations

import _blake2
import fcntl
import marshal
import os
import resource
import select
import time
from collections.abc import Callable
from typing import Any

MAC_BYTES = 16
HEAD_BYTES = 4 + MAC_BYTES
LARGEST = 64 << 20
"""Bytes of a message: a snapshot has 4 MB at most, but a path may have printed what a run may print."""
CHUNK_BYTES = 1 << 20

Request = tuple[str, int, tuple[int, ...], list[int]]
"""("path", number, outcomes to force, slots for new fork points) or ("end", 0, (), [])."""

clock = time.perf_counter  # bound, as all below, before a program can replace it
_read, _write, _close, _pipe, _fstat = os.read, os.write, os.close, os.pipe, os.fstat
_getrlimit = resource.getrlimit
_poll, _fcntl = select.poll, fcntl.fcntl
_digest = _blake2.blake2b
# marshal and not pickle: it makes plain data alone, so that reading a message runs no code that the message chose
_dumps: Callable[[Any], bytes] = marshal.dumps
_loads: Callable[[bytes], Any] = marshal.loads


class Broken(Exception):
    """The pipes are closed, replaced, or hold bytes that are no message: no more forks in this run."""


class Late(Exception):
    """No answer in time."""


class Pipes:
    """One request pipe for each slot and one pipe for answers."""

    def __init__(self, num_slots: int) -> None:
        self._key = f"{clock()} {id(self)}".encode()
        # High descriptors: a program is given the lowest free ones, and the numbers that it is given must be those of
        # a run without forks, since it may print them.
        lowest = _getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._ends: list[tuple[int, int]] = []
        for _ in range(num_slots + 1):
            low = _pipe()
            self._ends.append(
                (_fcntl(low[0], fcntl.F_DUPFD_CLOEXEC, lowest), _fcntl(low[1], fcntl.F_DUPFD_CLOEXEC, lowest))
            )
            for fd in low:
                _close(fd)
        self._identities = [(_identity(reader), _identity(writer)) for reader, writer in self._ends]

    @property
    def descriptors(self) -> frozenset[int]:
        """The descriptors of all pipes' ends."""
        return frozenset(fd for ends in self._ends for fd in ends)

    def request(self, slot: int, message: Request) -> None:
        """Send a request from the root to the fork point that waits at ``slot``. Raises Broken."""
        self._send(slot, message)

    def requested(self, slot: int) -> Request:
        """Wait for the root's next request. Raises Broken, also where the root is gone."""
        request: Request = self._receive(slot, None)
        return request

    def answer(self, message: tuple[object, ...]) -> None:
        """Send an answer to the root.

        Raises:
            Broken: the pipe is no more.
            ValueError: the message is no plain data.
        """
        self._send(-1, message)

    # Any: what follows the kind and the number differs from kind to kind; ``ForkPoints`` looks at it
    def answered(self, until: float) -> tuple[Any, ...]:
        """Wait for the next answer of any fork, until this time of ``clock``: its kind, a number, and more.

        Raises:
            Broken: the pipe is no more, or holds something else.
            Late: no answer came.
        """
        answer: tuple[Any, ...] = self._receive(-1, until)
        return answer

    def keep_forks_ends(self) -> None:
        """Close, in a fork, the ends that are the root's: those that send requests, and the one that gets answers.

        The pipes then end where the root does. Otherwise forks would wait for ever for each other.
        """
        for _, writer in self._ends[:-1]:
            _close(writer)
        _close(self._ends[-1][0])

    def close(self) -> None:
        """End all communication, in the root: forks that wait see the end of their pipe, and exit."""
        for ends, identities in zip(self._ends, self._identities, strict=True):
            for fd, identity in zip(ends, identities, strict=True):
                if _identity(fd) == identity:  # the program may have closed it, and opened a file of its own there
                    _close(fd)

    def _send(self, slot: int, message: object) -> None:
        payload = _dumps(message)
        mac = _digest(payload, key=self._key, digest_size=MAC_BYTES).digest()
        unsent = len(payload).to_bytes(4, "big") + mac + payload
        writer = self._ends[slot][1]
        if _identity(writer) != self._identities[slot][1]:
            raise Broken("the program closed or replaced a pipe")
        try:
            while unsent:
                unsent = unsent[_write(writer, unsent) :]  # a pipe may take a part of it
        except OSError as error:
            raise Broken(str(error)) from error

    def _receive(self, slot: int, until: float | None) -> Any:
        reader = self._ends[slot][0]
        if _identity(reader) != self._identities[slot][0]:
            raise Broken("the program closed or replaced a pipe")
        head = self._read_exactly(reader, HEAD_BYTES, until)
        size = int.from_bytes(head[:4], "big")
        if size > LARGEST:
            raise Broken(f"expected at most {LARGEST} bytes, got {size}")
        payload = self._read_exactly(reader, size, until)
        if _digest(payload, key=self._key, digest_size=MAC_BYTES).digest() != head[4:]:
            raise Broken("expected a message of ours, got other bytes")
        return _loads(payload)

    def _read_exactly(self, reader: int, size: int, until: float | None) -> bytes:
        content = bytearray()
        poll = _poll()
        poll.register(reader, select.POLLIN)
        try:
            while len(content) < size:
                if until is not None and not poll.poll(max(0.0, until - clock()) * 1000):
                    raise Late
                chunk = _read(reader, min(size - len(content), CHUNK_BYTES))
                if not chunk:
                    raise Broken("closed")
                content += chunk
        except OSError as error:
            raise Broken(str(error)) from error
        return bytes(content)


def _identity(fd: int) -> tuple[int, int] | None:
    """The file behind a descriptor; None where it is closed."""
    try:
        status = _fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
