"""What a Tracer needs to know."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.tracer.inside.protocol.jobs import Laws
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class TracerConfig:
    """What a Tracer needs to know; picklable.

    ``repository`` is bound read-only inside; ``sys_path`` holds folders below it for ``sys.path``; ``packages`` are
    installed packages (folders or single files) bound beside it; ``own`` are path prefixes below the repository whose
    functions count as its own, hence may be followed ("" for all); ``warm`` are modules imported once. ``library`` are
    files or folders of the interpreter itself that count as own, for standard-library modules. ``follow`` is the
    depth of calls whose bodies are shown; ``comprehensions`` opens list comprehensions too. ``view`` is what a session
    shows; ``only_choices`` drops snippets whose run draws nothing; ``laws`` are the declared laws of inputs and of the
    environment, as ``Laws.from_json`` takes them.

    Raises:
        ValueError: ``laws`` are none.

    >>> import trace_mine
    >>> trace_mine.TracerConfig(follow=2, view=trace_mine.parse_view("branch")).view.hides
    True
    """

    repository: Path | None = None
    sys_path: tuple[str, ...] = ()
    packages: tuple[Path, ...] = ()
    own: tuple[str, ...] = ("",)
    library: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    follow: int = 1
    comprehensions: bool = False
    view: View = field(default_factory=View)
    only_choices: bool = False
    laws: Mapping[str, object] | None = None
    python: str = sys.executable
    minimum_level: int = 2
    allow_unsafe: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.laws is not None:
            Laws.from_json(self.laws)
