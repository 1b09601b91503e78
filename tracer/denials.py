"""Failures that a program met only because it ran in the sandbox: what it says of them, and what to do.

The session's text is searched, not exceptions: a program that catches the error and prints it is spoilt as well.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["call", "network", "package", "file"]
"""What was missing: a system call, the network, an installed package, a file that this machine has."""
KINDS: tuple[Kind, ...] = ("call", "network", "package", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """A failure of the sandbox's: its ``kind``, the text that shows it, and the ``cure``, a sentence.

    Raises:
        ValueError: the cure is empty.
    """

    kind: Kind
    evidence: str
    cure: str

    def __post_init__(self) -> None:
        if not self.cure:
            raise ValueError("expected a Denial with a cure, got none")


# EPERM, EACCES, EROFS, ENOSYS, EOPNOTSUPP: what ``sandbox.seccomp`` and Landlock answer. And a file that is not there
# and has no name: shared memory, which ``multiprocessing`` asks for.
_call = re.compile(r"\[Errno (?:1|13|30|38|95)\][^\n]*|\[Errno 2\] No such file or directory$", re.MULTILINE)
# EAFNOSUPPORT, ENETDOWN, ENETUNREACH and EHOSTUNREACH, and what resolvers say where there is none
_network = re.compile(
    r"\[Errno (?:97|100|101|113)\][^\n]*|(?:\[Errno -[235]\] )?(?:Temporary failure in name resolution|"
    r"Name or service not known|No address associated with hostname)"
)
_package = re.compile(r"No module named '([\w.]{1,100})'")
_file = re.compile(r"\[Errno 2\] No such file or directory: '([^'\n]+)'")


def denial_in(text: str, *, folder: Path | None = None, kinds: Container[Kind] = KINDS) -> Denial | None:
    """Find the first failure in a session's text that the program would not meet outside; None where there is none.

    Args:
        text: the session's text.
        folder: what relative paths that the program named mean on this machine; None: nothing. Nothing is opened.
        kinds: those to look for.
    """
    match = _call.search(text) if "call" in kinds else None
    if match is not None:
        return Denial(
            kind="call",
            evidence=match.group(),
            cure="The sandbox lets a program write in its working folder alone, and start no other process.",
        )
    match = _network.search(text) if "network" in kinds else None
    if match is not None:
        return Denial(
            kind="network",
            evidence=match.group(),
            cure="The sandbox has no network: let the program read a file beside it.",
        )
    for match in _package.finditer(text) if "package" in kinds else ():
        name = match.group(1).partition(".")[0]
        if name not in sys.stdlib_module_names:
            cure = f"Install {name} in the environment of this command, or name one that has it by --environment DIR."
            return Denial(kind="package", evidence=match.group(), cure=cure)
    for match in _file.finditer(text) if "file" in kinds else ():
        if _is_outside(match.group(1), folder):
            cure = "The program sees its own folder alone: put the file beside it, or show its folder by --root DIR."
            return Denial(kind="file", evidence=match.group(), cure=cure)
    return None


def _is_outside(path: str, folder: Path | None) -> bool:
    """Return True if this machine has what a program named; a relative path is one of ``folder``."""
    if "\0" in path or len(path) > 4_096:
        return False
    if path.startswith("/"):
        return os.path.lexists(path)
    return folder is not None and os.path.lexists(folder / path)
