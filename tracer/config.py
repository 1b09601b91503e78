"""The configuration of a Tracer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from trace_mine.tracer.inside.protocol.jobs import Laws
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.views import DEFAULT_FOLLOW, View

SANDBOX_LEVELS = (3, 2, 0)
"""Levels of the sandbox. No 1: that number stands for macOS's seatbelt, which is not built."""


class WorkerLevels(TypedDict):
    """The arguments of a ``Worker`` that say which levels of the sandbox will do."""

    minimum_level: int
    maximum_level: int
    allow_unsafe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TracerConfig:
    """The configuration of a Tracer: what snippets can import, what sessions show, and how runs are confined.

    It can be pickled, to be sent to worker processes.

    Attributes:
        repository: a folder that snippets see, read-only; None: none.
        sys_path: folders below the repository for ``sys.path``.
        folder: what each run finds in its working folder, as a copy of its own; snippets import from there first.
            None: an empty working folder, which is no place to import from.
        packages: installed packages (folders or single files) that snippets may import as well.
        site_folders: folders of installed packages (``site-packages``), all of which snippets may import.
        own: path prefixes below the repository whose functions count as its own, so that calls of them may be followed;
            "" for all.
        library: files or folders of the interpreter itself that count as own: for standard-library modules.
        warm: modules that are imported once, before the first snippet.
        limits: the limits of one run.
        follow: the depth of calls whose bodies are shown; 0: none.
        comprehensions: all comprehensions, and generator expressions that a built-in uses up, are opened as loops;
            False: those alone that call functions of the program's own.
        view: what a session shows.
        only_choices: snippets whose run draws nothing are dropped.
        laws: the declared laws of inputs and of the environment, as ``Laws.from_json`` takes them; None: none.
        windows: numbers of commands: exact beliefs come with what a reader of the outputs of so many commands would
            believe.
        python: the interpreter that runs the snippets.
        minimum_level: the weakest sandbox that will do: 3 (namespaces), 2 (Landlock and seccomp) or 0 (none at all).
        sandbox_level: this level and no other, 3, 2 or 0; None: the strongest that works here.
        keeps_records: a drop for want of a session that replays has the record of the native run.
        allow_unsafe: level 0 is allowed, where snippets can do whatever this process can. Dangerous.
        seed: the seed of the ``random`` module inside, and of the snippets' draws.

    Raises:
        ValueError: ``laws`` are malformed, ``follow`` is negative, ``windows`` has one number twice or a negative one,
            ``minimum_level`` or ``sandbox_level`` is no level, or ``sandbox_level`` is 0 without ``allow_unsafe``.

    >>> import trace_mine
    >>> trace_mine.TracerConfig(follow=2, view=trace_mine.parse_view("branch")).view.hides
    True
    """

    repository: Path | None = None
    sys_path: tuple[str, ...] = ()
    folder: WorkingFolder | None = None
    packages: tuple[Path, ...] = ()
    site_folders: tuple[Path, ...] = ()
    own: tuple[str, ...] = ("",)  # every path begins with it
    library: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    follow: int = DEFAULT_FOLLOW
    comprehensions: bool = False
    view: View = field(default_factory=View)
    only_choices: bool = False
    laws: Mapping[str, object] | None = None
    windows: tuple[int, ...] = ()
    python: str = sys.executable
    minimum_level: int = 2  # it needs no privilege, so that it is there in most containers; 3 needs namespaces
    sandbox_level: int | None = None
    allow_unsafe: bool = False
    seed: int = 0
    keeps_records: bool = False

    def __post_init__(self) -> None:
        if self.follow < 0:
            raise ValueError(f"expected TracerConfig.follow >= 0, got {self.follow}; give 0 to follow no calls")
        if self.minimum_level not in SANDBOX_LEVELS:
            raise ValueError(f"expected TracerConfig.minimum_level 0, 2 or 3, got {self.minimum_level}; name a level")
        check_windows(self.windows)
        check_sandbox_level(self.sandbox_level, allow_unsafe=self.allow_unsafe)
        if self.laws is not None:
            Laws.from_json(self.laws)  # raises ProtocolError, a ValueError, where a snippet would be run to no use

    @property
    def worker_levels(self) -> WorkerLevels:
        """The levels that the workers may choose among."""
        forced = self.sandbox_level
        return {
            "minimum_level": self.minimum_level if forced is None else forced,
            "maximum_level": max(SANDBOX_LEVELS) if forced is None else forced,
            "allow_unsafe": self.allow_unsafe,
        }


def check_windows(windows: Sequence[int]) -> None:
    """Refuse windows that are none.

    Raises:
        ValueError: a number is negative, or stands there twice.
    """
    if any(window < 0 for window in windows) or len(set(windows)) != len(windows):
        raise ValueError(f"expected different numbers of commands from 0 on, got {list(windows)}; write 1|4|16")


def check_sandbox_level(level: int | None, *, allow_unsafe: bool) -> None:
    """Refuse a level that is none, and the one that confines nothing where it was not allowed.

    Args:
        level: the level that is to be forced; None forces none.
        allow_unsafe: level 0 is allowed.

    Raises:
        ValueError: it is refused.
    """
    if level is not None and level not in SANDBOX_LEVELS:
        raise ValueError(f"expected the sandbox level 3, 2 or 0, got {level}; leave it out for the strongest")
    if level == 0 and not allow_unsafe:
        raise ValueError(
            "expected the sandbox level 3 or 2, got 0, which confines nothing; allow it (--allow-unsafe-sandbox) for "
            "code that you would run without a sandbox"
        )
