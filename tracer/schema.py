"""The records that pass between the rooms: a Snippet goes in, a Trace or a Drop comes out.

``Snippet``  a runnable piece of a repository: its source and where it stands.
``Outcome``  the sandbox's verdict on one run. A snippet that fails is data, never an exception.
``Trace``    everything that happened in a snippet, with its session as text, segments and steps.
``Drop``     the reason why a snippet gave no trace; every drop is counted under its reason.
``Verification``  what of a trace was found to hold from outside, by processes that hold nothing of ours.

All of them are frozen, so that a row, a view or a format can't change what happened. Values of the snippet stand in
them as text only: nothing of a snippet's objects leaves the sandbox.

Over 400 lines: the records that a row is made of stand together, with all that is said of their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trace_mine.tracer.event_log import EventLog
from trace_mine.tracer.inside.protocol.answers import Answer, NativeFrame
from trace_mine.tracer.inside.protocol.jobs import Piece as Piece
from trace_mine.tracer.inside.reasons import reason_of
from trace_mine.tracer.visible import marked_up, visible

# raised with each column that changes its meaning: readers refuse a dataset of another version
SCHEMA_VERSION = 6

ROLES = ("prompt", "command", "reveal", "value", "hidden", "error")
"""The roles of segments. ``prompt``: ``>>> `` or ``... ``; ``command``: text that acts; ``reveal``: text that only
shows; ``value``: output that was printed or echoed; ``error``: a traceback; ``hidden``: text that a view withholds."""

KINDS = ("doctest", "script", "test", "call", "docs")
"""The kinds of snippets: a docstring's examples; a script; a test; a call of one function; code of a page of
documentation."""

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
"""The ways in which a run ends. ``signal:N``, for the signal with the number N, is one more."""

INTEGRITIES = ("clean", "suspect", "truncated", "forged")
"""How far a run's record can be trusted: in full; not, because the snippet did something with which it could have
falsified the record; not, because the record has no end; not, because parts of it are not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A runnable piece of a repository.

    Attributes:
        kind: one of KINDS.
        name: a dotted name within the file, or the file's name.
        path: the file, relative to the repository's root, with ``/``.
        line, end_line: its first and last line in that file, from 1 on.
        pieces: the source that is run, in order, in one namespace.
        module: the module whose globals are copied for that namespace, as doctest does; None: a fresh ``__main__``.
        code: source that runs silently first.
        opens: callables (``test_f``, ``self.test_f``) whose call is opened without counting against the depth of
            followed calls.
        continue_on_error: an example that raises does not end the session, as in doctest.
        asks: the variables that hold hidden inputs. The last pieces, one for each, show them; no reveal does so before.
        file: the script's file in the working folder, under whose name it is compiled; empty: there is none.
        session: numbers the sessions of one snippet, each with draws of its own, from 0 on.
        focus: functions by file, relative to the root, and first line, a decorator's where it has some: calls of these
            alone are opened, however deep; empty: all calls, as deep as calls are followed.

    Raises:
        ValueError: ``kind`` is unknown, ``asks`` has more names than there are pieces, or ``file`` is not the last part
            of ``path``.

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
    file: str = ""
    session: int = 0
    focus: tuple[tuple[str, int], ...] = ()

    @property
    def is_notebook(self) -> bool:
        """True of a script whose pieces are the cells of a notebook, which displays values as a prompt does."""
        return self.kind == "script" and self.path.endswith(".ipynb")

    @property
    def begins_in_folder(self) -> bool:
        """True where its runs begin in a copy of its file's folder."""
        return bool(self.file) or self.is_notebook

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected Snippet.kind in {KINDS}, got {self.kind!r}; name a registered kind")
        if self.file and self.file != self.path.rpartition("/")[2]:
            raise ValueError(f"expected Snippet.file to be the file of {self.path!r}, got {self.file!r}; leave it out")
        # the last pieces are those that ask, one for each name: ``hiding`` and ``steps`` count from the end
        if len(self.asks) > len(self.pieces):
            raise ValueError(
                f"expected a piece for each of Snippet.asks, got {len(self.pieces)} for {len(self.asks)}; add them last"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The sandbox's verdict on one run.

    Attributes:
        status: one of STATUSES, or ``signal:N``. It, the times and the memory come from the jail's init process, never
            from the process that ran the snippet.
        integrity: one of INTEGRITIES.
        records: the answers that the run sent, in order; empty where one of them is bad, which makes it ``forged``.
        stdout, stderr: the bytes that reached the descriptors. Text that the snippet printed through ``sys.stdout`` is
            in the records instead, because jobs capture it.
        exception: the type's name where an exception ended the run, or the name of the limit that did.
        tripped: what the guard noticed, for people.
        wall_seconds, cpu_seconds: how long the run took, by the clock and of processor time.
        peak_memory_bytes: the largest resident size.

    Raises:
        ValueError: ``status`` or ``integrity`` is unknown.
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

    def __post_init__(self) -> None:
        # Checked, though the sandbox is ours: a status that nobody knows would be counted under no reason.
        if self.status not in STATUSES and not self.status.startswith("signal:"):
            raise ValueError(f"expected Outcome.status in {STATUSES} or signal:N, got {self.status!r}; use one of them")
        if self.integrity not in INTEGRITIES:
            raise ValueError(f"expected Outcome.integrity in {INTEGRITIES}, got {self.integrity!r}; use one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a session's text with one role.

    The segment is ``text[start:end]`` (characters, not bytes), ``role`` one of ROLES, and ``step`` the index of its
    step. The segments of a trace cover its text exactly, in order.
    """

    # Not checked one by one: a session has some 1,000 segments. ``formats.rendered.Rendered`` checks them together.

    start: int
    end: int
    role: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One REPL command with its output.

    Attributes:
        source: the command without prompts; lines are joined by newlines.
        output: the text that a doctest shows after it (``<BLANKLINE>`` for blank lines, no final newline).
        kind: the origin of the command: ``statement``; ``condition``, the test of an ``if`` or ``while``; ``bind``, a
            parameter or name that a followed call needs; ``iterate``, the next item of a loop; ``returned``, the value
            of a followed call; ``reveal``, a command that only shows something.
        raised: the command ended with an exception.
        wrote: the variables that the command wrote.
        state: every variable after the command, by name, with its value as text. It is ground truth and never shown to
            a model.
        depth: 0 in the snippet itself, 1 in a call that it makes, and so on.
        path, line: where the statement stands; ``path`` is relative to the repository's root.
    """

    source: str
    output: str
    kind: str
    raised: bool = False
    wrote: tuple[str, ...] = ()
    # In full at each step, not as changes: a probe or a reader asks for one step, and would have to add up all before.
    state: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One draw with its law, and the outcome that it had.

    Attributes:
        step: the index of the step that drew.
        kind: the primitive that was asked (``randbelow``, ``input``; ``random`` where a continuous draw was compared
            with a number) and, where a continuous draw was made an integer, how.
        outcomes: the outcomes that were possible, as text.
        probabilities: the probability of each, aligned with ``outcomes``; they sum to 1.
        taken: the index of the outcome that happened.
        place: ``path:line`` of the statement that drew.

    Raises:
        ValueError: ``probabilities`` are not one for each outcome, or ``taken`` is none of them.
    """

    step: int
    kind: str
    outcomes: tuple[str, ...]
    probabilities: tuple[float, ...]
    taken: int
    place: str = ""

    def __post_init__(self) -> None:
        if len(self.probabilities) != len(self.outcomes) or not 0 <= self.taken < len(self.outcomes):
            raise ValueError(
                f"expected a probability for each outcome of a Choice and one of them taken, got {len(self.outcomes)} "
                f"outcomes, {len(self.probabilities)} probabilities and {self.taken}; align them"
            )


METHODS = ("exact", "bounded", "sampled")
"""How a belief was found: by all paths; by all but those of a known mass; by paths drawn at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """The law of an output, given all text before it and the session's commands.

    A reader who knows the program and the laws of its draws, but not their outcomes, can predict the output no better.

    Attributes:
        segment: the index, in ``Trace.segments``, of the output that was shown.
        outcomes: the texts that it could have been, in their own order; "" where nothing is shown.
        probabilities: the posterior probability of each, aligned with ``outcomes``.
        method: one of METHODS.
        stderr: the error of each probability, aligned with ``outcomes``: 0 where ``exact``; where ``bounded``, how far
            it can be off because of the mass that was not followed; where ``sampled``, the standard error.

    Raises:
        ValueError: ``method`` is unknown, or probabilities and errors are not one for each outcome.
    """

    segment: int
    outcomes: tuple[str, ...]
    probabilities: tuple[float, ...]
    method: str
    stderr: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"expected Belief.method in {METHODS}, got {self.method!r}; use one of them")
        if not len(self.outcomes) == len(self.probabilities) == len(self.stderr):
            raise ValueError(
                f"expected a probability and an error for each outcome of a Belief, got {len(self.outcomes)} outcomes, "
                f"{len(self.probabilities)} probabilities and {len(self.stderr)} errors; align them"
            )


ABSENCES = ("", "many_states", "long", "undrawn", "sampled")
"""Why a belief has no law of the states: see ``BeliefStates.absent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefStates:
    """The joint law of the variables after a step and of its output, given all text before that output.

    Its sum over states is the belief of the same segment. Its part with the outcome that was shown, divided by its
    mass, is the law of the variables given the text up to the output's end. The method, and the error of a probability,
    are those of the belief.

    Attributes:
        segment: that of the belief.
        variables: the names of those whose value, as ``Step.state`` has it, is not the same in all states; sorted.
        states: of each pair of a state and an outcome, the values of ``variables`` as text; None where one has none.
        outcomes: of each pair, the index of the output in the belief's outcomes.
        probabilities: of the pairs; they sum to 1.
        absent: why there are none, else "": ``many_states`` (more than 64), ``long`` (more than 20,000 characters),
            ``undrawn`` (a variable holds a continuous draw that nothing has looked at), ``sampled`` (of such a belief
            states are examples).

    Raises:
        ValueError: lists that go together are of several lengths, or ``absent`` is unknown or contradicts them.
    """

    segment: int
    variables: tuple[str, ...]
    states: tuple[tuple[str | None, ...], ...]
    outcomes: tuple[int, ...]
    probabilities: tuple[float, ...]
    absent: str

    def __post_init__(self) -> None:
        if self.absent not in ABSENCES or bool(self.absent) == bool(self.states):
            raise ValueError(f"expected states, or a word of {ABSENCES} for why not, got {self.absent!r}; give one")
        if not len(self.states) == len(self.outcomes) == len(self.probabilities) or any(
            len(state) != len(self.variables) for state in self.states
        ):
            raise ValueError(
                f"expected an outcome and a probability for each state of a BeliefStates, with a value for each of "
                f"{len(self.variables)} variables, got {len(self.states)} states, {len(self.outcomes)} outcomes and "
                f"{len(self.probabilities)} probabilities; align them"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBelief:
    """The law of an output for a reader who knows the session's commands, and the last few outputs alone.

    Attributes:
        segment: the index, in ``Trace.segments``, of the output; one of ``Trace.beliefs`` is about it and ``exact``.
        commands: the number of commands before it whose outputs the reader has seen.
        outcomes: texts that the reader expects, sorted: those of that belief, and the likeliest 64 others.
        probabilities: of each outcome. They sum to less than 1 where the reader expects further ones.

    Raises:
        ValueError: ``commands`` is negative, or a probability is none, or not one for each outcome.
    """

    segment: int
    commands: int
    outcomes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.commands < 0 or not all(0 <= each <= 1 for each in self.probabilities):
            raise ValueError(
                f"expected a number of commands and probabilities, got {self.commands} and {self.probabilities}; "
                "give numbers from 0 on, and from 0 to 1"
            )
        if len(self.outcomes) != len(self.probabilities):
            raise ValueError(
                f"expected a probability for each outcome, got {len(self.probabilities)} for {len(self.outcomes)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFunction:
    """A function whose body a session shows.

    Attributes:
        name: its qualified name.
        path, line: where it stands, as of a step; the line is that of its first decorator.
        text: its lines as they stand there.

    Raises:
        ValueError: ``line`` is negative.
    """

    name: str
    path: str
    line: int
    text: str

    def __post_init__(self) -> None:
        if self.line < 0:
            raise ValueError(f"expected OpenedFunction.line >= 0, got {self.line}; count as the file does")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedCall:
    """A call whose body a session shows.

    Attributes:
        caller: the index, in ``Trace.calls``, of the call that made it; -1: the snippet itself.
        name: the function's qualified name.
        text: the call as it is written, on one line; a comment in the session has it.
        first, last: the indices of the first and the last step of it, or of calls in it; -1 where it has none.
        steps: the indices of its own steps, without those of calls in it.

    Raises:
        ValueError: the range is none, or a step stands outside of it.
    """

    caller: int
    name: str
    text: str
    first: int = -1
    last: int = -1
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.caller < -1 or not -1 <= self.first <= self.last:
            raise ValueError(f"expected a caller and a range from -1 on, got {self.caller}, {self.first}, {self.last}")
        if self.steps and not self.first <= min(self.steps) <= max(self.steps) <= self.last:
            raise ValueError(f"expected OpenedCall.steps from {self.first} to {self.last}, got others; widen the range")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What of a session was checked outside of the process that ran it; the rest is that process's own account.

    Attributes:
        printed: the readers by which the session printed its text again (``docs/sandbox.md`` lists them), sorted.
        states_verified: variables that changed to a value whose text is a literal, and for which a replay gave that
            text when it was asked from outside; each change counts.
        states_total: all changes of variables that the states hold.

    Raises:
        ValueError: a reader's name is no word, the readers are not sorted, or more states are verified than there are.

    >>> Verification(printed=("doc", "stock"), states_verified=3, states_total=4).states_verified
    3
    """

    printed: tuple[str, ...] = ()
    states_verified: int = 0
    states_total: int = 0

    def __post_init__(self) -> None:
        if list(self.printed) != sorted(set(self.printed)) or not all(name.isidentifier() for name in self.printed):
            raise ValueError(f"expected Verification.printed as sorted words, got {self.printed!r}; name the readers")
        if not 0 <= self.states_verified <= self.states_total:
            raise ValueError(
                f"expected 0 <= states_verified <= states_total in a Verification, got {self.states_verified} and "
                f"{self.states_total}; count each change once"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Everything that happened in one snippet, replayed and checked.

    The session's text is a doctest: run in a fresh interpreter after ``setup``, it prints the same again. ``segments``
    cut that text by role, ``steps`` list its commands with the variables after each.

    Attributes:
        text: the session, from the first prompt to the last output, each line ended by a newline.
        segments: the parts of ``text``; they cover it exactly, in order.
        steps: the session's commands, in order.
        setup: what a fresh interpreter needs before the first command (see ``docs/schema.md``).
        view: the view as JSON: what of the run the session shows.
        outcome: how the snippet ended: ``ok``, ``exception``, or ``exit`` (SystemExit); of one that came to a limit,
            whose session is what it did before, the word of STATUSES: ``cpu``, ``wall``, ``output-limit``, ``no-end``.
        exception: the type of the last exception that ended a piece; None if none did.
        integrity: one of INTEGRITIES; ``clean`` in every row.
        sandbox: ``level`` and ``layers`` of the sandbox that it ran in.
        python: the version of the interpreter that ran it, such as ``3.12.4``.
        opened_calls: how many calls have their bodies shown.
        kept_whole: constructs that were kept as one command, counted by ``Reason``.
        own_frames: how often the native run entered frames of the program's own functions, each resumption of a
            generator for itself. Not among them: the frame of the snippet itself, and other threads.
        opened_frames: how many of them the session shows.
        unopened_frames: the others, counted by ``Reason``: ``own_frames = opened_frames + sum(unopened_frames)``.
        doctest_passed: all examples printed what their docstring promises; None for other kinds of snippets.
        failed_checks: evidence by ``Reason``. Empty in every row of a dataset; ``Tracer.trace(lenient=True)`` fills it
            instead of dropping the snippet.
        differs_at: the index of the first step at which a failed check saw a difference; None where none failed, or
            where no step shows it.
        choices: the choices in the order in which they were made; none in a view that hides nothing.
        beliefs: the beliefs in the order of the text; none in a view that hides nothing.
        windows: what was to be believed of the same outputs after the last few commands alone; none unless asked for.
        belief_states: the laws of the variables, one for each of ``beliefs``; none of generated sessions.
        frames: the native run's activations in the order of their calls, as ``sys.settrace`` saw them. Other formats
            are written from them; rows do not have them.
        source: the functions that the session opens, each once, in the order in which they are opened.
        calls: the calls that it opens, in the order in which they begin.
        verification: what was found to hold from outside. States that are not verified, the path (``path``, ``line``
            and ``depth`` of steps), the counts and the events are the account of the process that ran the snippet.
        events: the native run, event by event; None where it was not recorded. It is ground truth, as the states are.
        missed_focus: why the session doesn't open the last function of ``Snippet.focus``; empty where it does, and in
            every row of a dataset.

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
    # ``Any`` in these three: values as JSON has them, for whoever reads a row to look into
    setup: Mapping[str, Any]
    view: Mapping[str, Any]
    outcome: str
    exception: str | None  # of the last piece that raised, which need not be the last piece
    integrity: str
    sandbox: Mapping[str, Any]
    python: str
    opened_calls: int
    kept_whole: Mapping[str, int]
    doctest_passed: bool | None
    failed_checks: Mapping[str, str] = field(default_factory=dict)
    differs_at: int | None = None
    choices: tuple[Choice, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    windows: tuple[WindowBelief, ...] = ()
    belief_states: tuple[BeliefStates, ...] = ()
    frames: tuple[NativeFrame, ...] = ()
    source: tuple[OpenedFunction, ...] = ()
    calls: tuple[OpenedCall, ...] = ()
    verification: Verification = Verification()
    own_frames: int = 0
    opened_frames: int = 0
    unopened_frames: Mapping[str, int] = field(default_factory=dict)
    events: EventLog | None = None
    missed_focus: str = ""

    @property
    def states(self) -> tuple[Mapping[str, str], ...]:
        """The variables after each step, by name, with their values as text; aligned with ``steps``."""
        return tuple(step.state for step in self.steps)

    def __str__(self) -> str:
        # ``print`` in a terminal is where a session's control characters would act
        return visible(self.text.removesuffix("\n"))

    def __repr__(self) -> str:
        # counts, not the fields: a prompt shows the repr of whatever is returned, and a trace may have megabytes
        counts = [f"{len(self.steps)} steps"]
        counts += [f"{len(group)} {name}" for name, group in _uncertain(self) if group]
        failed = f", failed_checks={sorted(self.failed_checks)}" if self.failed_checks else ""
        return f"Trace({', '.join(counts)}, outcome={self.outcome!r}, view={self.view.get('policy')!r}{failed})"

    def _repr_html_(self) -> str:
        """HTML of the session for a notebook: colours by role, each belief as a tooltip.

        The text is hostile: all of it is escaped, and control characters are spelt out.
        """
        # by segment, and not by step: a step's command and its output are segments of one step
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
"""The style of ``_repr_html_``, in the colours of ``viewer_page``."""


def _uncertain(trace: Trace) -> tuple[tuple[str, tuple[object, ...]], ...]:
    """The groups that ``repr`` counts where there are any."""
    return ("choices", trace.choices), ("beliefs", trace.beliefs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Why a snippet gave no trace.

    Attributes:
        reason: the word of a ``Reason`` (``docs/reasons.md`` lists them), under which the drop is counted; for a run
            that a signal ended, ``signal:11`` and the like.
        evidence: the particulars, for people: an error's text, the command that differed.
        record: of a snippet that has no session that replays, a trace of its native run with events and no steps, where
            the configuration asks for it (``TracerConfig.keeps_records``).

    Raises:
        ValueError: ``reason`` is not the word of a ``Reason``.

    >>> import trace_mine
    >>> try:
    ...     trace_mine.run("def f(:\\n")
    ... except trace_mine.NoTraceError as error:
    ...     print(error.drop.reason)
    syntax_error
    """

    reason: str
    evidence: str = ""
    record: Trace | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        reason_of(self.reason)  # raises for a word that ``docs/reasons.md`` would not explain
