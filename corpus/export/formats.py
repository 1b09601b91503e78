"""All formats of ``trace-mine export`` by name: what each makes of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from trace_mine.corpus.export.codeexecutor import executed_lines
from trace_mine.corpus.export.codeexecutor import render_lines as render_executed
from trace_mine.corpus.export.counts import NotGiven
from trace_mine.corpus.export.cruxeval import CruxTriple, crux_triples
from trace_mine.corpus.export.cwm import cwm_trace, render_cwm
from trace_mine.corpus.export.event_lines import event_lines, render_lines
from trace_mine.corpus.export.program_text import program_text
from trace_mine.tracer.event_log import EventLog

GivenColumns = Mapping[str, object]
"""The columns of a row that a format reads; ``events`` is not among them."""
Made = dict[str, object]
"""The columns that a format makes, without those that say where the row is from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat:
    """A format.

    Attributes:
        name: the word for it, as ``--format`` takes it.
        description: a phrase for people.
        columns: what it makes, each with its meaning.
        reads: columns of a row that it reads beside ``events``.
        needs_events: a row without events gives nothing in it.
        needs_session: a record, which has no session, gives nothing in it.
        make: gives, for each thing that a row could give, its columns or why there are none.

    Raises:
        ValueError: the name is no word.
    """

    name: str
    description: str
    columns: Mapping[str, str]
    make: Callable[[GivenColumns, EventLog | None], Iterator[Made | NotGiven]]
    reads: tuple[str, ...] = ()
    needs_events: bool = True
    needs_session: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"expected ExportFormat.name to be one word, got {self.name!r}; use letters and digits")


def _repl(row: GivenColumns, log: EventLog | None) -> Iterator[Made | NotGiven]:
    yield {"text": row["text"], "segments": row["segments"]}


def _cwm(row: GivenColumns, log: EventLog | None) -> Iterator[Made | NotGiven]:
    assert log is not None
    yield {"text": render_cwm(cwm_trace(log)), "cut": log.cut}


def _lines(row: GivenColumns, log: EventLog | None) -> Iterator[Made | NotGiven]:
    assert log is not None
    sources = [{"path": each.path, "line": each.line, "name": each.name, "text": each.text} for each in log.sources]
    yield {"text": render_lines(event_lines(log)), "source": sources, "cut": log.cut}


def _cruxeval(row: GivenColumns, log: EventLog | None) -> Iterator[Made | NotGiven]:
    assert log is not None
    for number, triple in enumerate(crux_triples(log)):
        if isinstance(triple, CruxTriple):
            made = {"code": triple.code, "input": triple.input, "output": triple.output}
            yield {**made, "id": f"{row['trace_id']}_{number}", "function": triple.name}
        else:
            yield triple


def _codeexecutor(row: GivenColumns, log: EventLog | None) -> Iterator[Made | NotGiven]:
    assert log is not None
    program = program_text(log)
    trace = [*render_executed(executed_lines(program))]
    yield {"id": row["trace_id"], "code": program.text, "trace": trace, "cut": log.cut}


_CUT = "why the events end early (`docs/export.md`); empty where they don't"

# A new format is a line here: the contract test goes over all of these.
EXPORTS: dict[str, ExportFormat] = {
    each.name: each
    for each in (
        ExportFormat(
            name="repl",
            description="the session as it stands in the row, with the role of each part",
            columns={"text": "the session, a valid doctest", "segments": "its parts: start, end, role, step"},
            make=_repl,
            reads=("text", "segments"),
            needs_events=False,
            needs_session=True,
        ),
        ExportFormat(
            name="cwm",
            description="Code World Model (arXiv 2510.02387): a program, then a frame for each event",
            columns={"text": "the program and its frames, with CWM's separators", "cut": _CUT},
            make=_cwm,
        ),
        ExportFormat(
            name="lines",
            description="the events line by line: entered, assigned, returned, raised",
            columns={
                "text": "a line for each event",
                "source": "the functions that ran, with path, first line and name",
                "cut": _CUT,
            },
            make=_lines,
        ),
        ExportFormat(
            name="cruxeval",
            description="CRUXEval (arXiv 2401.03065): function, arguments and result of each self-contained call",
            columns={
                "code": "the function, as `f` too, after those that it calls",
                "input": "the arguments, as they stand between the parentheses of `f()`",
                "output": "the result, a literal",
                "id": "name of the call",
                "function": "the function's own name",
            },
            make=_cruxeval,
        ),
        ExportFormat(
            name="codeexecutor",
            description="CodeExecutor (arXiv 2305.05383): a program, the lines that ran, the variables after each",
            columns={
                "id": "the row's `trace_id`",
                "code": "the functions that ran, then the snippet",
                "trace": "a text for each line that ran",
                "cut": _CUT,
            },
            make=_codeexecutor,
        ),
    )
}
"""The formats by name."""
