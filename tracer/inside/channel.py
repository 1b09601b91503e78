"""The record pipe, from inside: JSON values as frames with a length, a sequence number and a MAC.

Everything that sending needs is bound before foreign code runs (one C encoder object, ``os.write``, the hash), so
that patched ``json``, ``struct``, ``os.write`` or builtins change nothing. Code that walks the heap can still find
the key; the guard notices such walks, and the supervisor notices a frame that lacks the key's MAC.
"""

from __future__ import annotations

import _blake2
import _thread
import json.encoder
import os
import struct
from collections import deque
from collections.abc import Callable

# sizes and byte order spelt out: the interpreter that reads may be another build than the one that writes
HEADER = struct.Struct(">IIB")
"""Payload length in bytes, sequence number from 0, kind."""
MAC_BYTES = 16  # 128 bits; and a forger has one try, since the first wrong frame ends the reading
RECORD, END = 1, 2

Send = Callable[[object], None]


def frame_mac(key: bytes, header_and_payload: bytes) -> bytes:
    """Keyed BLAKE2b over header and payload: no length-extension, twice as fast as HMAC-SHA256 here."""
    return _blake2.blake2b(header_and_payload, key=key, digest_size=MAC_BYTES).digest()


def open_channel(fd: int, key: bytes) -> tuple[Send, Send]:
    """``(send, finish)``: ``send`` writes one record, ``finish`` the end record, after which nothing more goes out.

    Both take any JSON value, lone surrogates included, and may be called from any thread and from signal handlers: a
    call that arrives while another is writing leaves its frame to that one. Raises TypeError or ValueError for what
    JSON lacks, RuntimeError in a fork of the process that opened the channel.
    """

    def refuse(value: object) -> object:
        raise TypeError(f"expected a JSON value to send, got {type(value)!r}; convert it first")

    make_encoder = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # the C class; typeshed leaves it out
    encode = make_encoder(None, refuse, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    join, pack, write, blake2b, size = "".join, HEADER.pack, os.write, _blake2.blake2b, len
    getpid, owner = os.getpid, os.getpid()
    waiting: deque[tuple[int, bytes]] = deque()
    push, pop = waiting.append, waiting.popleft
    lock = _thread.allocate_lock()
    acquire, release = lock.acquire, lock.release
    sequence = 0  # so that the supervisor notices a frame that is left out, repeated or moved
    finished = False

    def drain() -> None:
        nonlocal sequence, finished
        # a fork has the key and the sequence too: two senders with one sequence would spoil a record that is genuine
        if getpid() != owner:
            raise RuntimeError("expected the process that opened the channel, got a fork of it; answer on another pipe")
        # Never blocks: a signal handler that sends while its own thread holds the lock would wait for itself.
        while waiting and acquire(False):
            try:
                while waiting and not finished:
                    kind, payload = pop()
                    finished = kind == END
                    body = pack(size(payload), sequence, kind) + payload
                    sequence += 1
                    frame = body + blake2b(body, key=key, digest_size=MAC_BYTES).digest()
                    while frame:  # a pipe may take less than all of it
                        frame = frame[write(fd, frame) :]
                if finished:
                    return
            finally:
                release()

    def send(value: object) -> None:
        push((RECORD, join(encode(value, 0)).encode("ascii")))
        drain()

    def finish(value: object) -> None:
        push((END, join(encode(value, 0)).encode("ascii")))
        while not finished:
            drain()

    return send, finish
