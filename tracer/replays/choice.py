"""Which readers a session is given to, by what can be seen of it without running it, and by what its native run did."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from trace_mine.tracer.replays.session import TextCommand, ends_at_prompt

AUDITED = 50
"""One session in so many is read by ``fresh`` too; a fresh interpreter costs nine times a fork."""
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
REFLECTION_EVENTS = frozenset(("sys._getframe", "gc.get_objects", "gc.get_referrers", "gc.get_referents"))
THREADS = frozenset(
    ("threading", "Thread", "_thread", "start_new_thread", "ThreadPoolExecutor", "run_in_executor", "to_thread")
)
"""Words of a source that starts threads."""
THREAD_EVENTS = frozenset(("_thread.start_new_thread", "_thread.start_joinable_thread"))

_word = re.compile(r"[^\W\d]\w*")


def readers_for(
    commands: tuple[TextCommand, ...], sources: Iterable[str], noticed: Iterable[str], text: str
) -> list[str]:
    """The readers of a session without recorded draws, in the order in which they read.

    ``doc`` is the first, because it alone asks for values.

    Args:
        commands: the session's.
        sources: the session's text and the program's.
        noticed: audit events of the native run.
        text: the session's text, whose hash chooses those that are audited: the same for any number of jobs.
    """
    words, events = words_of(sources), set(noticed)
    readers = ["doc", "stock"]
    # after SystemExit no prompt goes on: of the rest another doctest reader has to do
    if ends_at_prompt(commands) or words & REFLECTION or events & REFLECTION_EVENTS:
        readers.append("literal")
    if is_audited(text):
        readers.append("fresh")
    if words & THREADS or events & THREAD_EVENTS:
        readers += [readers[turn % 2] for turn in range(MORE_REPLAYS)]
    return readers


def is_audited(text: str) -> bool:
    """Return True for the sessions that a fresh interpreter reads as well."""
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()
    return int.from_bytes(digest[:8]) % AUDITED == 0


def words_of(sources: Iterable[str]) -> set[str]:
    """The words of the sources, those of their strings and comments too: one too many costs a replay."""
    return {word for source in sources for word in _word.findall(source)}
