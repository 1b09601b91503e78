"""Failures that a program met only because it ran in the sandbox: what it says of them, and what to do.

The session's text is searched, not exceptions: a program that catches the error and prints it is spoilt as well.
"""

from __future__ import annotations

import posixpath
import re
import sys
import tempfile
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Literal

from trace_mine.tracer.sandbox.start_up import SCRATCH_PREFIX
from trace_mine.tracer.schema import Step
from trace_mine.tracer.script_folder import FolderCopy, is_skipped
from trace_mine.tracer.two_worlds import SCRIPT_HOME

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


SYSTEM_FOLDERS = frozenset(
    ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv")
) | {"sys", "tmp", "usr", "var", "Users"}
"""The folders at the top of Linux systems, by their standard, in which a program expects what is not its own."""
OWN_FOLDER_HERE = f"{tempfile.gettempdir()}/{SCRATCH_PREFIX}"
"""How the path of a program's own working folder begins at level 2, where a jail has no view of its own."""


def denial_in(text: str, *, copied: FolderCopy | None = None, kinds: Container[Kind] = KINDS) -> Denial | None:
    """Find the first failure in a session's text that the program would not meet outside; None where there is none.

    This machine is not asked what it has: what becomes of a program must not depend on that, nor tell it.

    Args:
        text: the session's text.
        copied: the copy of the program's folder in which it began; None: it began in an empty folder of its own.
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
        if _is_outside(match.group(1), copied):
            cure = "The program sees its own folder alone: put the file beside it, or show its folder by --root DIR."
            return Denial(kind="file", evidence=match.group(), cure=cure)
    return None


def denial_of_script(
    text: str, steps: Sequence[Step], *, is_ok: bool, copied: FolderCopy | None = None
) -> Denial | None:
    """Find the first such failure in a script's session, as ``denial_in`` does in a text.

    A package that a script can do without is no failure: its import raises, the script has a handler for that (``except
    ImportError``), and the session goes on. What the script prints of the error still is one.

    Args:
        text: the session's text.
        steps: its steps.
        is_ok: no exception ended the run, so that all that were raised were handled.
        copied: as for ``denial_in``.
    """
    if not is_ok:
        return denial_in(text, copied=copied)
    others = [kind for kind in KINDS if kind != "package"]
    outputs = [step.output for step in steps if not step.raised]
    return denial_in(text, copied=copied, kinds=others) or denial_in("\n".join(outputs), kinds=("package",))


def _is_outside(path: str, copied: FolderCopy | None) -> bool:
    """Return True if a path that is not there may be there outside of the sandbox.

    That is so of a path of the system's, of one above the program's folder, and of one in that folder that the copy of
    it leaves out, or may leave out where not all that it leaves out is named.
    """
    place = posixpath.normpath(path)
    own = "" if copied is None else f"{SCRIPT_HOME}/{copied.content.name}/"
    if own and place.startswith(own):
        place = place.removeprefix(own)
    elif place.startswith("/"):
        return place.split("/")[1] in SYSTEM_FOLDERS and not place.startswith(OWN_FOLDER_HERE)
    if place == ".." or place.startswith("../"):
        return True
    if copied is None:
        return False
    folders = place.split("/")[:-1]
    if any(is_skipped(folder) for folder in folders):
        return True
    named = any(place == left or place.startswith(f"{left}/") for left, _ in copied.left_out)
    return named or copied.num_left_out > len(copied.left_out)
