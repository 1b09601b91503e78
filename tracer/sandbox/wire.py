"""Sends and receives messages between supervisor, init, zygote and runner.

A message is one JSON object, then raw bytes (the payload), with descriptors beside it; each may be empty. In front
stand the two lengths in bytes, as 4 bytes each, big-endian. Used on both sides, so it imports the standard library
only.

A deadline is for a whole message and absolute (of ``time.monotonic``): a timeout of the socket would begin again with
each byte that arrives, and a message of 60,000 bytes could then take days.

The default of ``json`` (ASCII with escapes) lets lone surrogates pass, which UTF-8 can't hold.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

_HEADER = struct.Struct(">II")
MAX_MESSAGE_BYTES = 64 << 20
"""Of JSON and payload together: far above any job, and a bound on what a wrong length can ask for. Init, whose memory
is limited (``rlimits.INIT_BYTES``), holds up to four copies of what it hands on."""

T = TypeVar("T")


class Hangup(Exception):
    """The other side closed the connection."""


def send_message(
    sock: socket.socket,
    message: Mapping[str, object],
    payload: bytes = b"",
    fds: Iterable[int] = (),
    deadline: float | None = None,
) -> None:
    """Send ``message`` and ``payload``; ``fds`` travel with the first byte.

    Args:
        sock: the socket; with a deadline its timeout is changed.
        message, payload, fds: what is sent.
        deadline: when all must be sent; None leaves the socket's timeout as it is.

    Raises:
        Hangup: the other side closed the connection.
        TimeoutError: the deadline passed.
        OSError: another failure of the socket, a timeout that was set on it among them.
        ValueError: JSON and payload are longer than MAX_MESSAGE_BYTES; nothing was sent.
    """
    encoded = json.dumps(message).encode("ascii")
    if len(encoded) + len(payload) > MAX_MESSAGE_BYTES:
        raise ValueError(
            f"expected a message of at most {MAX_MESSAGE_BYTES} bytes, got {len(encoded) + len(payload)}; send less"
        )
    header = _HEADER.pack(len(encoded), len(payload))
    try:
        # descriptors with the header only: sendmsg may send less than all, and a second sendmsg would send them again
        _allow_until(sock, deadline)
        sent = socket.send_fds(sock, [header], list(fds)) if fds else sock.send(header)
        _allow_until(sock, deadline)
        sock.sendall(header[sent:] + encoded + payload)  # one timeout for all of its bytes
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Hangup(str(error)) from error


def receive_message(
    sock: socket.socket, max_fds: int = 0, max_bytes: int = MAX_MESSAGE_BYTES, deadline: float | None = None
) -> tuple[dict[str, object], bytes, list[int]]:
    """Receive the next message with its payload and its descriptors, which are close-on-exec.

    Args:
        sock: the socket; with a deadline its timeout is changed.
        max_fds, max_bytes: the most that is accepted.
        deadline: when all of the message must be here; None leaves the socket's timeout as it is.

    Raises:
        Hangup: end of file, also in the middle of a message.
        TimeoutError: the deadline passed.
        ValueError: the message is longer than ``max_bytes``, or no JSON object.
        OSError: another failure of the socket, a timeout that was set on it among them.
    """
    fds: list[int] = []
    header = b""
    try:
        while len(header) < _HEADER.size:
            _allow_until(sock, deadline)
            if max_fds and not fds:
                chunk, fds, _, _ = socket.recv_fds(sock, _HEADER.size - len(header), max_fds)
                for fd in fds:
                    os.set_inheritable(fd, False)  # recv_fds drops its flags argument, MSG_CMSG_CLOEXEC with it
            else:
                chunk = sock.recv(_HEADER.size - len(header))
            if not chunk:
                raise Hangup("closed")
            header += chunk
        length, payload_length = _HEADER.unpack(header)
        # before anything is read: the lengths may come from a hostile zygote
        if length + payload_length > max_bytes:
            raise ValueError(f"expected a message of at most {max_bytes} bytes, got {length + payload_length}")
        message = json.loads(_receive_exactly(sock, length, deadline))
        payload = _receive_exactly(sock, payload_length, deadline)
        if not isinstance(message, dict):
            raise ValueError(f"expected a JSON object, got {type(message).__name__}")
        return message, payload, fds
    except BaseException as error:
        # what came with a bad message must not stay open: a hostile zygote could use up init's descriptors
        for fd in fds:
            os.close(fd)
        if isinstance(error, ConnectionResetError):
            raise Hangup(str(error)) from error
        raise


def field(message: Mapping[str, object], name: str, kind: type[T]) -> T:
    """Return a field of a message.

    Raises:
        ValueError: there is none of that name, or it is of another type.
    """
    value = message.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__} as {name!r} of a message, got {value!r:.200}")
    return value


def _allow_until(sock: socket.socket, deadline: float | None) -> None:
    """Let the socket's next call last until the deadline. Raises TimeoutError where that has passed."""
    if deadline is None:
        return
    seconds_left = deadline - time.monotonic()
    if seconds_left <= 0:
        raise TimeoutError("the time for this message is over")
    sock.settimeout(seconds_left)


def _receive_exactly(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    """Receive ``size`` bytes. Raises Hangup where the other side closes before, TimeoutError after the deadline."""
    chunks = bytearray()
    while len(chunks) < size:
        _allow_until(sock, deadline)
        # recv sets aside as many bytes as it is asked for; the length alone must not cost 256 MB
        chunk = sock.recv(min(1 << 20, size - len(chunks)))
        if not chunk:
            raise Hangup("closed in the middle of a message")
        chunks += chunk
    return bytes(chunks)
