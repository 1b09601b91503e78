"""Files that may be damaged or hostile, read in bounded time and memory: one clear error, whatever they are.

For files that somebody hands to a command: run folders, checkpoints, tokenizers. A link to a device or a FIFO, a file
that grew to gigabytes and JSON that is nested a hundred thousand deep are all ``DamagedFile``.

Not covered: a folder that changes while it is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path

MAX_JSON_BYTES = 64 << 20
"""More than any JSON file of a run: the largest, the Trainer's, has a line for each log."""

MAX_FOREIGN_JSON_BYTES = 256 << 20
"""More than the largest tokenizers of others have, 30 MB."""

MAX_JSON_DEPTH = 100
"""More than any of them nests. Python's parser allows 1,000 or so, which code that walks a value need not survive."""


class DamagedFile(ValueError):
    """A file is not what a command of ours wrote; the message says which, and how it differs.

    A ValueError, but no wrong usage: commands end with ``exit_code``.
    """

    exit_code = 1


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file, or a link to one, for reading.

    Raises:
        DamagedFile: it isn't there, can't be read, or is a folder, FIFO, socket or device.
    """
    try:
        # O_NONBLOCK: without it a FIFO that nobody writes to is waited for, for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise DamagedFile(f"expected a file {path}, got: {error.strerror}") from None
    except ValueError as error:  # a NUL in the name
        raise DamagedFile(f"expected a file {path}, got: {error}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedFile(f"expected a file {path}, got a folder, FIFO, socket or device")
    return open(descriptor, "rb")


def check_regular(folder: Path) -> None:
    """Check the files of a folder that another library is to open by itself: it might wait for a FIFO for ever.

    Raises:
        DamagedFile: one of them is no regular file, no folder, and no link to one; or is larger than a JSON file can
            be, and called like one.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DamagedFile(f"expected a folder {folder}, got: {error.strerror}") from None
    for path in paths:
        if not path.is_dir():
            with open_regular(path) as file:
                num_bytes = os.fstat(file.fileno()).st_size
            if path.suffix == ".json" and num_bytes > MAX_FOREIGN_JSON_BYTES:
                raise DamagedFile(f"expected {path} to have at most {MAX_FOREIGN_JSON_BYTES} bytes, got {num_bytes}")


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a whole file.

    Raises:
        DamagedFile: as ``open_regular``; or it has more than ``max_bytes``.
    """
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DamagedFile(f"expected {path} to have at most {max_bytes} bytes, got more")
    return data


def parse_json(data: bytes | str, name: object) -> dict[str, object]:
    """Parse a JSON object; ``name`` says in errors what it is.

    Raises:
        DamagedFile: it isn't UTF-8, no JSON, no object, or is nested deeper than MAX_JSON_DEPTH.
    """
    try:
        value = json.loads(data)
    except RecursionError:
        raise DamagedFile(f"expected JSON in {name}, got one nested too deep") from None
    except ValueError as error:  # no UTF-8 and a number of 5,000 digits too
        raise DamagedFile(f"expected JSON in {name}, got: {error}") from None
    if not isinstance(value, dict):
        raise DamagedFile(f"expected a JSON object in {name}, got {type(value).__name__}")
    if _deeper(value, MAX_JSON_DEPTH):
        raise DamagedFile(f"expected JSON in {name}, got one nested too deep")
    return value


def read_json(path: Path) -> dict[str, object]:
    """Read a file that holds a JSON object.

    Raises:
        DamagedFile: as ``read_bytes`` and ``parse_json``.
    """
    return parse_json(read_bytes(path, MAX_JSON_BYTES), path)


def sha256_of(path: Path) -> tuple[int, str]:
    """Return a file's number of bytes and their SHA-256.

    Raises:
        DamagedFile: as ``open_regular``, or the disk gives an error.
    """
    with open_regular(path) as file:
        try:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DamagedFile(f"expected to read {path}, got: {error.strerror}") from None
        return file.tell(), digest


def _deeper(value: object, depth: int) -> bool:
    """Tell if a value parsed from JSON is nested deeper than ``depth``; layer by layer, since a call for each level
    would need the depth that it measures.
    """
    layer = [value]
    for _ in range(depth):
        below: list[object] = []
        for each in layer:
            below += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        if not below:
            return False
        layer = [each for each in below if isinstance(each, dict | list)]
    return bool(layer)
