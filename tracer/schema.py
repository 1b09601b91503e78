"""The records that pass between the rooms: Snippet in, Trace or Drop out.

``Snippet``  a runnable piece of a repository: what is run and where it came from.
``Outcome``  what the sandbox says of one run. A failing snippet is data, never an exception.
``Trace``    everything that happened, complete, with its session's text and segments.
``Drop``     why a snippet gave no trace; every drop is counted under its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trace_mine.tracer.inside.protocol.answers import Answer, NativeFrame
from trace_mine.tracer.inside.protocol.jobs import Piece as Piece
from trace_mine.tracer.visible import marked_up, visible

SCHEMA_VERSION = 1

ROLES = ("prompt", "command", "reveal", "value", "hidden", "error")
"""Segment roles. ``prompt``: ``>>> `` or ``... ``; ``command``: text that acts; ``reveal``: text that only shows;
``value``: what was printed or echoed; ``error``: a traceback; ``hidden``: text that a view withholds."""

KINDS = ("doctest", "script", "test", "call")

STATUSES = (
    "ok",
    "exception",
    "exit",
    "syntax",
    "wall",
    "cpu",
    "memory",
    "output-limit",
    "trace-limit",
    "disk-limit",
    "no-end",
)
"""Outcome statuses; ``signal:N`` is the one that carries a number."""

INTEGRITIES = ("clean", "suspect", "truncated", "forged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A runnable piece of a repository.

    The pieces run in order in one namespace: a copy of ``module``'s globals (as doctest does), or, where ``module``
    is None, a fresh ``__main__``; ``code`` runs silently first. ``opens`` names callables (``test_f``, ``self.test_f``)
    whose call is opened without counting against the depth of followed calls. ``continue_on_error`` is doctest's way:
    an example that raises does not end the session. ``path`` is relative to the repository's root, with ``/``.
    ``asks`` names the variables that hold hidden inputs; the last pieces, one for each, show them, and no reveal does
    so before. ``session`` numbers sessions of one snippet whose draws are each their own.

    >>> import trace_mine
    >>> trace_mine.script_snippet("x = 1\\n", "script.py", ()).kind
    'script'
    """

    kind: str
    name: str
    path: str
    line: int
    end_line: int
    pieces: tuple[Piece, ...]
    module: str | None = None
    code: str = ""
    opens: tuple[str, ...] = ()
    continue_on_error: bool = False
    asks: tuple[str, ...] = ()
    session: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected Snippet.kind in {KINDS}, got {self.kind!r}; name a registered kind")
        if len(self.asks) > len(self.pieces):
            raise ValueError(
                f"expected a piece for each of Snippet.asks, got {len(self.pieces)} for {len(self.asks)}; add them last"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the sandbox says of one run.

    ``status`` is one of STATUSES or ``signal:N``; it and the times come from the jail's init process, never from the
    runner. ``records`` are the answers that the run sent, in order; where one of them is bad, there is none, and
    ``integrity`` is ``forged``. ``stdout`` and ``stderr`` are what reached the descriptors (what the snippet printed
    through a captured ``sys.stdout`` is in the records).
    """

    status: str
    integrity: str
    records: tuple[Answer, ...] = ()
    stdout: bytes = b""
    stderr: bytes = b""
    exception: str | None = None
    tripped: tuple[str, ...] = ()
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """``text[start:end]`` has this role; ``step`` is the index of the step it belongs to."""

    start: int
    end: int
    role: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One REPL command with its output.

    ``source`` is the command without prompts, ``output`` what a doctest shows after it (``<BLANKLINE>`` for blank
    lines, no final newline). ``kind`` says what produced it: ``statement``, ``condition``, ``bind`` (a parameter or
    a name needed by a followed call), ``iterate``, ``returned``, ``reveal``. ``wrote`` names the variables whose
    value this step changed. ``state`` maps every variable after the step to its representation (never shown to a
    model). ``depth`` is 0 in the snippet, 1 in a call it makes; ``path``/``line`` say where the statement stands.
    """

    source: str
    output: str
    kind: str
    raised: bool = False
    wrote: tuple[str, ...] = ()
    state: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One draw of a step whose law is known.

    ``kind`` names the source and, for a continuous draw, how it was looked at (``random<``, ``randbelow``, ``input``).
    ``outcomes`` are texts, ``probabilities`` their weights (sum 1), ``taken`` the index of the one that happened.
    ``place`` is ``path:line`` of the statement that drew.
    """

    step: int
    kind: str
    outcomes: tuple[str, ...]
    probabilities: tuple[float, ...]
    taken: int
    place: str = ""


METHODS = ("exact", "bounded", "sampled")
"""How a belief was found: all paths followed; all but a known mass; paths drawn at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What may be shown where a reveal stands, given all visible text before it and the session's commands.

    ``segment`` is the index in ``segments`` of the text that was shown; ``outcomes`` are the texts that it could have
    been (in the order of the text, "" where nothing is shown), ``probabilities`` their posterior weights.
    ``method`` is one of METHODS. ``stderr`` has one number for each outcome: 0 where exact; where ``bounded``, how far
    the probability can be off because of the mass that was not followed; where ``sampled``, the standard error.
    """

    segment: int
    outcomes: tuple[str, ...]
    probabilities: tuple[float, ...]
    method: str
    stderr: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Everything that happened in one snippet, replayed and checked.

    ``kept_whole`` counts constructs that were kept as one command, by reason; ``opened_calls`` counts calls whose
    body is shown. ``setup`` is what a fresh interpreter needs before the first command (see ``docs/schema.md``).
    ``failed_checks`` (check to evidence) is empty in every row of a dataset; ``Tracer.trace(lenient=True)`` fills it
    instead of dropping the snippet. ``choices`` are in the order in which they were made, ``beliefs`` in the order of
    the text; both are empty in a view that hides nothing. ``frames`` are the native run's activations in the order of
    their calls, as settrace saw them: other formats are written from them. Rows do not have them.

    ``print(trace)`` shows the session with control characters as escapes; a notebook shows it in colours.

    >>> import trace_mine
    >>> trace = trace_mine.run("x = 2\\nx += 1\\n")
    >>> trace
    Trace(3 steps, outcome='ok', view='written')
    >>> trace.text.splitlines()[:2], trace.states[:2]
    (['>>> x = 2', '>>> x += 1'], ({'x': '2'}, {'x': '3'}))
    """

    text: str
    segments: tuple[Segment, ...]
    steps: tuple[Step, ...]
    setup: Mapping[str, Any]
    view: Mapping[str, Any]
    outcome: str
    exception: str | None
    integrity: str
    sandbox: Mapping[str, Any]
    python: str
    opened_calls: int
    kept_whole: Mapping[str, int]
    doctest_passed: bool | None
    failed_checks: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    frames: tuple[NativeFrame, ...] = ()

    @property
    def states(self) -> tuple[Mapping[str, str], ...]:
        """The state after each step, aligned with ``steps``: every variable's name with its value as text."""
        return tuple(step.state for step in self.steps)

    def __str__(self) -> str:
        return visible(self.text.removesuffix("\n"))

    def __repr__(self) -> str:
        counts = [f"{len(self.steps)} steps"]
        counts += [f"{len(group)} {name}" for name, group in _uncertain(self) if group]
        failed = f", failed_checks={sorted(self.failed_checks)}" if self.failed_checks else ""
        return f"Trace({', '.join(counts)}, outcome={self.outcome!r}, view={self.view.get('policy')!r}{failed})"

    def _repr_html_(self) -> str:
        """The session for a notebook, by role, with each belief as a tooltip; nothing of it acts as HTML."""
        tips = {
            belief.segment: ", ".join(
                f"{probability:.4g} {outcome.strip()!r}"
                for probability, outcome in zip(belief.probabilities, belief.outcomes, strict=True)
            )
            for belief in self.beliefs
        }
        spans = marked_up(
            (f"trace-mine-{segment.role}", self.text[segment.start : segment.end], tips.get(index, ""))
            for index, segment in enumerate(self.segments)
        )
        return f"<style>{_STYLE}</style><pre class='trace-mine'>{spans}</pre>"


_STYLE = (
    ".trace-mine{max-height:40em;overflow:auto;white-space:pre-wrap}.trace-mine-prompt{color:#999}"
    ".trace-mine-command{font-weight:600}.trace-mine-reveal{color:#06c}.trace-mine-value{color:#17692f}"
    ".trace-mine-error{color:#b00020}.trace-mine-hidden{background:#fff2c4}"
)
"""Of ``_repr_html_``: the colours of a page of ``show``."""


def _uncertain(trace: Trace) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    return ("choices", trace.choices), ("beliefs", trace.beliefs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Why a snippet gave no trace. ``reason`` is a short snake_case word that is counted; ``evidence`` is for
    people.

    >>> import trace_mine
    >>> try:
    ...     trace_mine.run("def f(:\\n")
    ... except trace_mine.NoTraceError as error:
    ...     print(error.drop.reason)
    syntax_error
    """

    reason: str
    evidence: str = ""
