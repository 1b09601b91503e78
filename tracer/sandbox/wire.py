"""Sends and receives messages between supervisor, init, zygote and runner.

A message is one JSON object, then raw bytes (the payload), with descriptors beside it; each may be empty. In front
stand the two lengths in bytes, as 4 bytes each, big-endian. Used on both sides, so it imports the standard library
only.
The default of ``json`` (ASCII with escapes) lets lone surrogates pass, which UTF-8 can't hold.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import TypeVar

_HEADER = struct.Struct(">II")
MAX_MESSAGE_BYTES = 256 << 20
"""Of JSON and payload together: far above any job, and a bound on what a wrong length can ask for."""

T = TypeVar("T")


class Hangup(Exception):
    """The other side closed the connection."""


def send_message(
    sock: socket.socket, message: Mapping[str, object], payload: bytes = b"", fds: Iterable[int] = ()
) -> None:
    """Send ``message`` and ``payload``; ``fds`` travel with the first byte.

    Raises:
        Hangup: the other side closed the connection.
        OSError: another failure of the socket, a timeout that was set on it among them.
    """
    encoded = json.dumps(message).encode("ascii")
    header = _HEADER.pack(len(encoded), len(payload))
    try:
        # descriptors with the header only: sendmsg may send less than all, and a second sendmsg would send them again
        sent = socket.send_fds(sock, [header], list(fds)) if fds else sock.send(header)
        sock.sendall(header[sent:] + encoded + payload)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Hangup(str(error)) from error


def receive_message(
    sock: socket.socket, max_fds: int = 0, max_bytes: int = MAX_MESSAGE_BYTES
) -> tuple[dict[str, object], bytes, list[int]]:
    """Receive the next message with its payload and its descriptors, which are close-on-exec.

    Raises:
        Hangup: end of file, also in the middle of a message.
        ValueError: the message is longer than ``max_bytes``, or no JSON object.
        OSError: another failure of the socket, a timeout that was set on it among them.
    """
    fds: list[int] = []
    header = b""
    try:
        while len(header) < _HEADER.size:
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
        message = json.loads(_receive_exactly(sock, length))
        payload = _receive_exactly(sock, payload_length)
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


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Receive ``size`` bytes. Raises Hangup where the other side closes before."""
    chunks = bytearray()
    while len(chunks) < size:
        # recv sets aside as many bytes as it is asked for; the length alone must not cost 256 MB
        chunk = sock.recv(min(1 << 20, size - len(chunks)))
        if not chunk:
            raise Hangup("closed in the middle of a message")
        chunks += chunk
    return bytes(chunks)
