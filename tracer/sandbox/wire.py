"""Messages between supervisor, init and zygote: one JSON object, optional raw bytes, optional descriptors.

Used on both sides, so it imports the standard library only. ``json`` with ensure_ascii lets lone surrogates pass.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any

_HEADER = struct.Struct(">II")
MAX_MESSAGE_BYTES = 256 << 20


class Hangup(Exception):
    """The other side closed the connection."""


def send_message(
    sock: socket.socket, message: Mapping[str, object], payload: bytes = b"", fds: Iterable[int] = ()
) -> None:
    """Sends ``message`` and ``payload``; ``fds`` travel with the first byte. Raises Hangup or OSError."""
    encoded = json.dumps(message).encode("ascii")
    header = _HEADER.pack(len(encoded), len(payload))
    try:
        sent = socket.send_fds(sock, [header], list(fds)) if fds else sock.send(header)
        sock.sendall(header[sent:] + encoded + payload)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Hangup(str(error)) from error


def receive_message(
    sock: socket.socket, max_fds: int = 0, max_bytes: int = MAX_MESSAGE_BYTES
) -> tuple[dict[str, Any], bytes, list[int]]:
    """The next message, its payload and descriptors (close-on-exec).

    Raises:
        Hangup: end of file, also in the middle of a message.
        ValueError: longer than ``max_bytes``, or no JSON object.
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
        if length + payload_length > max_bytes:
            raise ValueError(f"expected a message of at most {max_bytes} bytes, got {length + payload_length}")
        message = json.loads(_receive_exactly(sock, length))
        payload = _receive_exactly(sock, payload_length)
        if not isinstance(message, dict):
            raise ValueError(f"expected a JSON object, got {type(message).__name__}")
        return message, payload, fds
    except BaseException as error:
        for fd in fds:
            os.close(fd)
        if isinstance(error, ConnectionResetError):
            raise Hangup(str(error)) from error
        raise


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    chunks = bytearray()
    while len(chunks) < size:
        chunk = sock.recv(min(1 << 20, size - len(chunks)))
        if not chunk:
            raise Hangup("closed in the middle of a message")
        chunks += chunk
    return bytes(chunks)
