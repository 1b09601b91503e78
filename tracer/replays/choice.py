"""Which readers a session is given to: by its text, by files whose functions ran, and by what its native run did."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from functools import lru_cache

from trace_mine.tracer.replays.session import TextCommand, ends_at_prompt

AUDITED = 50
"""One session in so many is read by ``fresh`` too, beside the first of each unit and module (``jails.Audits``); a fresh
interpreter costs nine times a fork."""
MORE_REPLAYS = 20
"""Further replays of a session in which threads were started. A row that fails one replay in ten passes two such
replays four times of five, and twenty-two once in ten."""

REFLECTION = frozenset(
    re.findall(
        r"\w+",
        """
_getframe _current_frames currentframe f_back f_locals f_globals f_code tb_frame gi_frame cr_frame gc
get_objects get_referrers get_referents settrace setprofile stdout __stdout__ stderr __stderr__ stdin
__stdin__ displayhook excepthook ps1 ps2 monitoring doctest ctypes last_value last_traceback getsource
""",
    )
)
"""Words of a source that looks at frames, at the heap, or at what a prompt and a doctest have otherwise."""
REFLECTION_EVENTS = frozenset(
    ("sys._getframe", "object.__getattr__", "gc.get_objects", "gc.get_referrers", "gc.get_referents")
)
THREAD_EVENTS = frozenset(("_thread.start_new_thread", "_thread.start_joinable_thread"))

MAX_FILE_BYTES = 1 << 21
"""How much of a file is searched for words; a repository is hostile, and its file may have any size."""

_own_tests = re.compile(r"(?:import|from) doctest\b|\bdoctest\.(?:testmod|testfile|DocTestSuite)\b")
"""How files run their own doctests, which is no look at anything."""
_prose = re.compile(
    r"""
    ^[ \t]*+[rRuU]?(?:\"{3}(?:[^"\\]|\\.|"(?!""))*+(?:\"{3})?|'{3}(?:[^'\\]|\\.|'(?!''))*+(?:'{3})?)  # a docstring
    | \#[^\n]*+
    | (  # a string elsewhere, which may be code, as of ``exec``
        \"{3}(?:[^"\\]|\\.|"(?!""))*+(?:\"{3})? | '{3}(?:[^'\\]|\\.|'(?!''))*+(?:'{3})?
        | "(?:[^"\\\n]|\\.)*+"? | '(?:[^'\\\n]|\\.)*+'?
      )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
"""Docstrings and comments, which run nothing; other strings are matched so that a ``#`` in one begins no comment. A
string without an end goes on to the end of the file, which keeps the search linear."""
_string = re.compile(r"""'[^'\n]*'|"[^"\n]*\"""")
_set_word = re.compile(r"\b(?:frozen)?set\(")
_braces = re.compile(r"\{[^{}:]*\}")  # with no colon in it, which a dictionary has
_word = re.compile(r"[^\W\d]\w*")


def readers_for(
    commands: tuple[TextCommand, ...],
    sources: Iterable[str],
    noticed: Iterable[str],
    *,
    files: Iterable[str] = (),
    audit: bool = False,
    prompts: bool = True,
) -> list[str]:
    """The readers of a session without recorded draws, in the order in which they read.

    ``doc`` is the first, because it alone asks for values.

    Args:
        commands: the session's.
        sources: the session's text and the program's.
        noticed: audit events of the native run.
        files: files of this machine with functions that the native run called.
        audit: ``fresh`` reads too; it does wherever a command makes a set, since its hash seed is another one.
        prompts: False where the program takes descriptor 0, from which a prompt would read its commands.
    """
    words, events = words_of(sources), set(noticed)
    readers = ["doc", "stock"] if prompts else ["doc"]
    reflects = bool(words & REFLECTION or events & REFLECTION_EVENTS) or any(map(file_reflects, files))
    # after SystemExit no prompt goes on: of the rest another doctest reader has to do
    if ends_at_prompt(commands) or reflects or not prompts:
        readers.append("literal")
    if prompts and (audit or any(makes_set(command.source) for command in commands)):
        readers.append("fresh")
    if events & THREAD_EVENTS:
        readers += [readers[turn % 2] for turn in range(MORE_REPLAYS)]
    return readers


def makes_set(source: str) -> bool:
    """Return True if a command seems to make a set: its order may show, and hangs on the hash seed.

    By the look of it and not by its tree, since a compiler can be made to use up its stack.
    """
    bare = _string.sub("''", source)
    return bool(_set_word.search(bare)) or any(shown.strip("{} \n") for shown in _braces.findall(bare))


def is_chosen(text: str, seed: int) -> bool:
    """Return True for one session in ``AUDITED``, by its text and the configuration's seed: for any number of jobs the
    same. A program that knows both knows it too.
    """
    digest = hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8]) % AUDITED == 0


def file_reflects(path: str) -> bool:
    """Return True if the code of a regular file has a word of REFLECTION, docstrings and comments left aside.

    What can't be read has none.
    """
    try:
        # neither a pipe nor a device is waited for
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and _bytes_reflect(os.read(fd, MAX_FILE_BYTES))
    except OSError:
        return False
    finally:
        os.close(fd)


@lru_cache(maxsize=64)
def _bytes_reflect(data: bytes) -> bool:
    code = _prose.sub(r"\1", data.decode("utf-8", "replace"))
    return not REFLECTION.isdisjoint(_word.findall(_own_tests.sub("", code)))


def words_of(sources: Iterable[str]) -> set[str]:
    """The words of the sources, those of their strings and comments too: one too many costs a replay."""
    return {word for source in sources for word in _word.findall(source)}
