"""Turns a fork of init into a fresh interpreter: the step by which a zygote is started that shares nothing with init.

What survives an exec (capabilities, resource limits, the promise of no new privileges) is put on before it; the rest
is for the program itself, which does it before anything foreign runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NoReturn

from trace_mine.tracer.sandbox.config import JailConfig

FLAGS = ("-s", "-S", "-B", "-P")
"""No user site, no site, no bytecode files, no current folder in the search path."""
FIRST = """
import marshal, os, sys
fd = int(sys.argv[1])
def read(size):
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, min(1 << 20, size - len(data)))
        if not chunk:
            os._exit(0)
        data += chunk
    return bytes(data)
code = read(int.from_bytes(read(4), "big"))
if code:
    exec(marshal.loads(code))
del code
exec(compile(read(int.from_bytes(read(4), "big")), "<trace-mine>", "exec", dont_inherit=True))
"""
"""The program that the interpreter is started with. It reads another from a socket: on the command line that one could
be found for as long as the process lives."""


def execute(
    config: JailConfig,
    socket_fd: int,
    environment: Mapping[str, str],
    keep: Iterable[int] = (),
    more: Iterable[str] = (),
) -> NoReturn:
    """Replace this process by the jail's interpreter, which runs the program that it is sent (``program_message``).

    Args:
        config: the jail; its ``executable`` is the interpreter.
        socket_fd: descriptor of the socket from which the program reads, first of all, its own text.
        environment: all its environment variables.
        keep: other descriptors that stay open.
        more: flags of the interpreter beside FLAGS.

    Raises:
        OSError: the interpreter can't be executed.
    """
    for fd in (socket_fd, *keep):
        os.set_inheritable(fd, True)
    arguments = [config.executable, *FLAGS, *more, "-c", FIRST, str(socket_fd)]
    os.execve(config.executable, arguments, dict(environment))


def program_message(source: str, code: bytes = b"") -> bytes:
    """Return the bytes by which a program that ``execute`` started gets its text.

    ``code`` is marshalled code of the same interpreter, which runs before the text.
    """
    text = source.encode("utf-8")
    return len(code).to_bytes(4, "big") + code + len(text).to_bytes(4, "big") + text
