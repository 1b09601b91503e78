"""The columns of a dataset, defined once: name, type, meaning, and the schema version that added each.

The TypedDicts below are the table: the types of the row builder, the check of a row (``row_check``), the Parquet schema
(``parquet_schema``), what ``datasets`` calls ``features``, and the tables of the dataset card and of ``docs/schema.md``
(``markdown``) are all made of them.

To add a column: one line here with ``since`` the next SCHEMA_VERSION (in ``tracer/schema.py``), its value in
``rows.make_row``, and ``python -m trace_mine.corpus.schema docs/schema.md``, which rewrites the table of that page.

Over 400 lines because the columns are one table.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

from trace_mine.tracer.inside.protocol.answers import CommandKind
from trace_mine.tracer.schema import ABSENCES, INTEGRITIES, KINDS, METHODS, ROLES, SCHEMA_VERSION

if TYPE_CHECKING:  # importing `datasets` takes a second, and workers that make rows don't need it
    import pyarrow
    from datasets import Features

ORIGINS = ("mined", "synthetic")
"""Where rows come from: repositories, or tasks whose law is known."""
STEP_KINDS: tuple[str, ...] = get_args(CommandKind)
"""The kinds of a step, as the jail may name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMeaning:
    """The meaning of a column for people, and ``since``, the first schema version that has the column.

    ``words`` are all that a text may be (none: any text), ``is_json`` says that a text is a JSON object.
    """

    text: str
    since: int
    words: tuple[str, ...] = ()
    is_json: bool = False

    def __post_init__(self) -> None:
        if not self.text or not 1 <= self.since <= SCHEMA_VERSION:
            raise ValueError(
                f"expected a text and 1 <= since <= {SCHEMA_VERSION}, got {self.text!r} since {self.since}; "
                "raise SCHEMA_VERSION with a new column"
            )


def means(text: str, *, since: int = 1, words: Sequence[str] = (), is_json: bool = False) -> ColumnMeaning:
    """Make the Meaning of a column: a call short enough to stand beside the column's type."""
    return ColumnMeaning(text=text, since=since, words=tuple(words), is_json=is_json)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


class SegmentColumns(TypedDict):
    """A stretch of ``text`` with one role."""

    start: Annotated[int, means("index of the first character in `text`")]
    end: Annotated[int, means("index after the last character")]
    role: Annotated[str, means(f"one of {_listed(ROLES)}", words=ROLES)]
    step: Annotated[int, means("index in `steps` of the command that it belongs to")]


class StepColumns(TypedDict):
    """One REPL command and its output."""

    source: Annotated[str, means("the command, without prompts")]
    output: Annotated[str, means("its output as a doctest shows it, without the last newline")]
    kind: Annotated[str, means(f"one of {_listed(STEP_KINDS)}", words=STEP_KINDS)]
    raised: Annotated[bool, means("true where the command ends in a traceback")]
    wrote: Annotated[list[str], means("names of the variables whose value it changed")]
    depth: Annotated[int, means("0 in the snippet, 1 in a call that it makes, and so on")]
    path: Annotated[str, means("file of the statement, relative to the repository; empty where it stands in none")]
    line: Annotated[int, means("line of the statement in that file, from 1")]


class ChoiceColumns(TypedDict):
    """One random draw: its law, and the outcome that it gave."""

    step: Annotated[int, means("index in `steps` of the command that drew")]
    kind: Annotated[str, means("the primitive that drew: `randbelow`, `random` (compared with a number), `input`, ...")]
    place: Annotated[str, means("`path:line` of the statement that drew")]
    outcomes: Annotated[list[str], means("all that the draw could give")]
    probabilities: Annotated[list[float], means("probability of each of `outcomes`; they sum to 1")]
    taken: Annotated[int, means("index in `outcomes` of what it gave")]


class SourceColumns(TypedDict):
    """A function whose body the session shows."""

    name: Annotated[str, means("qualified name of the function", since=4)]
    path: Annotated[str, means("its file, relative to the repository", since=4)]
    line: Annotated[int, means("its first line there, decorators included, from 1", since=4)]
    text: Annotated[
        str,
        means(
            "its lines as they stand there; in a row with `edits` those that ran, counted from the snippet's", since=4
        ),
    ]


class CallColumns(TypedDict):
    """A call whose body the session shows."""

    call: Annotated[int, means("number of the call, from 0 in the order in which they begin", since=4)]
    caller: Annotated[int, means("number of the call that made it; -1: the snippet itself", since=4)]
    name: Annotated[str, means("qualified name of the function", since=4)]
    text: Annotated[str, means("the call as it is written, on one line, as the comment in `text` has it", since=4)]
    first: Annotated[
        int, means("index in `steps` of the first step of it or of a call in it; -1: it has none", since=4)
    ]
    last: Annotated[int, means("index of the last such step; -1: it has none", since=4)]
    steps: Annotated[list[int], means("indices of its own steps, without those of calls in it", since=4)]


class BeliefColumns(TypedDict):
    """The law of one output, given all text before it."""

    segment: Annotated[int, means("index in `segments` of the output")]
    outcomes: Annotated[list[str], means("all texts that could have stood there")]
    probabilities: Annotated[list[float], means("probability of each of `outcomes`")]
    method: Annotated[str, means(f"how they were found: {_listed(METHODS)}", words=METHODS)]
    stderr: Annotated[list[float], means("error of each probability: 0 if exact, a bound, or a standard error")]


class WindowColumns(TypedDict):
    """The law of an output for a reader who knows all commands before it, and the last few outputs alone."""

    segment: Annotated[int, means("index in `segments` of the output; an exact belief of `beliefs` is of it", since=6)]
    commands: Annotated[int, means("number of commands before it whose outputs the reader has seen", since=6)]
    outcomes: Annotated[
        list[str], means("texts that the reader expects: those of that belief, and the likeliest 64 others", since=6)
    ]
    probabilities: Annotated[
        list[float], means("probability of each; they sum to less than 1 where further texts are expected", since=6)
    ]


class BeliefStateColumns(TypedDict):
    """The joint law of the variables after a step and of its output, given all text before that output."""

    segment: Annotated[int, means("that of the belief", since=6)]
    variables: Annotated[
        list[str], means("names of the variables whose value isn't the same in all states, sorted", since=6)
    ]
    states: Annotated[
        list[str],
        means(
            "of each pair of a state and an outcome, JSON of `variables` after the step, in the form of `states`",
            since=6,
            is_json=True,
        ),
    ]
    outcomes: Annotated[list[int], means("of each pair, the index of the output in the belief's `outcomes`", since=6)]
    probabilities: Annotated[list[float], means("probability of each pair; they sum to 1", since=6)]
    absent: Annotated[
        str,
        means(
            f"why there are no states, else empty: {_listed(ABSENCES[1:])}",
            words=ABSENCES,
            since=6,
        ),
    ]


class EditColumns(TypedDict):
    """A draw that was put into the program before it ran."""

    kind: Annotated[
        str,
        means(
            "`maybe`, `either` or `order`; `reveal`: a command that asks; `input`: a further call; "
            "`assert`: an assertion of a test, which is asked",
            words=("maybe", "either", "order", "reveal", "input", "assert"),
            since=5,
        ),
    ]
    line: Annotated[
        int,
        means(
            "line in the text that was edited: a function, a script, statements; of a reveal in the text that ran; of "
            "an input or an assertion in all that ran",
            since=5,
        ),
    ]
    law: Annotated[
        list[float], means("probabilities of the outcomes; the first: it runs, it stays; none of others", since=5)
    ]
    before: Annotated[str, means("the lines as their author wrote them", since=5)]
    after: Annotated[str, means("the lines that ran", since=5)]


class RowColumns(TypedDict):
    """A row as an origin makes it; the merge adds ``new_characters`` and ``split``."""

    trace_id: Annotated[str, means("hash of the text, the set-up and where the snippet stands")]
    origin: Annotated[str, means("`mined` or `synthetic`", words=ORIGINS)]
    text: Annotated[str, means("the whole session, a valid doctest")]
    segments: Annotated[list[SegmentColumns], means("the parts of `text`, which they cover exactly and in order")]
    view: Annotated[
        str, means("JSON: what of the run the session shows (policy, style, spacing of reveals)", is_json=True)
    ]
    steps: Annotated[list[StepColumns], means("the commands in order")]
    choices: Annotated[list[ChoiceColumns], means("the draws in order; empty where the view hides no outcomes")]
    beliefs: Annotated[list[BeliefColumns], means("what each output could have been; empty where nothing is hidden")]
    belief_states: Annotated[
        list[BeliefStateColumns],
        means(
            "for each of `beliefs` the joint law of the variables after its step and of its output; none of rows whose "
            "origin is a task",
            since=6,
        ),
    ]
    source: Annotated[list[SourceColumns], means("the functions that the session opens, each once", since=4)]
    calls: Annotated[list[CallColumns], means("the calls that the session opens, in the order of their begin", since=4)]
    states: Annotated[
        list[str], means("for each step JSON of every variable after it: ground truth, never shown", is_json=True)
    ]
    setup: Annotated[
        str,
        means(
            "JSON of what a fresh interpreter needs first: `sys_path`, `module`, `code`, `hash_seed`, `choices`; and "
            "`folder` of a script, the folder of the repository whose files lie in the working folder",
            is_json=True,
        ),
    ]
    repository: Annotated[str, means("name of the project, normalised; of synthetic rows `TASK-SPLIT`")]
    version: Annotated[str | None, means("version of the project")]
    commit: Annotated[str | None, means("commit of the checkout")]
    path: Annotated[str, means("file of the snippet, relative to the repository, with `/`")]
    name: Annotated[str, means("qualified name of the snippet")]
    line: Annotated[int, means("first line of the snippet, from 1; of synthetic rows the row's number")]
    end_line: Annotated[int, means("last line of the snippet")]
    entry: Annotated[str, means(f"how the snippet is entered: {_listed(KINDS)}, or the synthetic task")]
    licence: Annotated[str, means("licence of the source, as an SPDX expression; `NOASSERTION`: none was found")]
    source_hash: Annotated[str, means("SHA-256 of the snippet's file; of synthetic rows a hash of the task")]
    requires: Annotated[list[str], means("packages that a replay must have installed, `NAME==VERSION`")]
    num_skipped: Annotated[int, means("examples left out for `+SKIP`; of a notebook, lines and cells left out")]
    outcome: Annotated[str, means("how the run ended: `ok`, `exception` or `exit`", words=("ok", "exception", "exit"))]
    exception: Annotated[str | None, means("the exception that ended it")]
    doctest_passed: Annotated[bool | None, means("the docstring's promised outputs came; only for doctests")]
    opened_calls: Annotated[int, means("calls whose bodies the session shows")]
    kept_whole: Annotated[str, means("JSON: reason to number of constructs shown as one command", is_json=True)]
    own_frames: Annotated[
        int,
        means("frames of the repository's own functions that the run entered, resumptions of generators too", since=3),
    ]
    opened_frames: Annotated[int, means("of those, the frames that the session shows", since=3)]
    unopened_frames: Annotated[
        str, means("JSON: reason to number of the other frames; with `opened_frames` all", since=3, is_json=True)
    ]
    sandbox_level: Annotated[int, means("level of isolation of the run; 0: none, or nothing was run")]
    sandbox_layers: Annotated[str, means("the layers of isolation, for people")]
    integrity: Annotated[str, means(f"always `{INTEGRITIES[0]}`: other runs become no rows", words=INTEGRITIES[:1])]
    printed_by: Annotated[
        list[str],
        means("readers by which `text` printed the same again, compared from outside: `doc`, `stock`", since=2),
    ]
    states_verified: Annotated[
        int, means("changes in `states` whose value a replay gave when it was asked from outside", since=2)
    ]
    states_total: Annotated[int, means("all changes in `states`; the rest is the process's own account", since=2)]
    python: Annotated[str, means("version of the interpreter that ran the snippet")]
    seed: Annotated[int, means("seed of the run's randomness")]
    uncopied_values: Annotated[
        float | None,
        means("share of outputs that stand nowhere in `text` before them; none: it has no output", since=4),
    ]
    writing_commands: Annotated[
        float | None,
        means("share of commands that change a variable, of those that are no reveal", since=4),
    ]
    schema_version: Annotated[int, means("version of this table")]
    events: Annotated[
        str,
        means(
            "the native run as events (calls, lines, returns, exceptions, changed locals, output), with their sources: "
            "base64 of zlib of JSON (`docs/export.md`), ground truth, never shown to a model; empty: not recorded",
            since=4,
        ),
    ]
    edits: Annotated[list[EditColumns], means("draws that `--inject` put into the program; mostly none", since=5)]
    windows: Annotated[
        list[WindowColumns],
        means("laws after the last few commands alone (`--windows`), by output and number of commands", since=6),
    ]
    edit_lines: Annotated[
        list[int],
        means(
            "for each of `edits`, the line of `path`, as its author wrote it, at which it was made, a reveal behind "
            "that line; 0: not known",
            since=6,
        ),
    ]
    author_lines: Annotated[
        list[int],
        means(
            "in a row with `edits`, for each line of the text that ran, counted from `line`, the line of `path` that "
            "it is or was made of; 0: of none",
            since=6,
        ),
    ]
    no_session: Annotated[
        str,
        means("of a record: the reason why it has no session that replays; empty in every row of `data/`", since=4),
    ]


class SplitRowColumns(RowColumns):
    """A row as it stands on disk, in a split."""

    new_characters: Annotated[
        float | None,
        means(
            "share of `text`, without steps of kind `source`, in lines that no row before it of its repository has; "
            "none: not measured",
            since=4,
        ),
    ]

    split: Annotated[str, means("`train`, `validation` or `test`")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table, or a field of a column that holds records.

    Attributes:
        scalar: ``str``, ``int``, ``float`` or ``bool``; None for a record.
        fields: the fields of a record.
        is_list: the column holds a list of scalars or records.
        is_optional: the column may hold None.
    """

    name: str
    meaning: ColumnMeaning
    scalar: type[str] | type[int] | type[float] | type[bool] | None
    fields: tuple[Column, ...] = ()
    is_list: bool = False
    is_optional: bool = False

    def __post_init__(self) -> None:
        if (self.scalar is None) != bool(self.fields):
            raise ValueError(f"expected column {self.name} to have a scalar type or fields; give one of them")

    @property
    def type_name(self) -> str:
        """The type, for people: ``list of str``, ``str or none``."""
        name = "record" if self.scalar is None else self.scalar.__name__
        return f"{'list of ' * self.is_list}{name}{' or none' * self.is_optional}"


def _column(name: str, hint: object) -> Column:
    """Return the column of an annotation such as ``Annotated[list[str] | None, Meaning(...)]``."""
    inner, meaning = get_args(hint)
    # `str | None` is a types.UnionType when it is written so, a typing.Union where an annotation was evaluated from
    # text.
    is_optional = get_origin(inner) in (Union, types.UnionType)
    if is_optional:
        inner = next(each for each in get_args(inner) if each is not type(None))
    is_list = get_origin(inner) is list
    if is_list:
        (inner,) = get_args(inner)
    return Column(
        name=name,
        meaning=meaning,
        scalar=None if is_typeddict(inner) else inner,
        fields=_columns(inner) if is_typeddict(inner) else (),
        is_list=is_list,
        is_optional=is_optional,
    )


@cache
def _columns(table: type) -> tuple[Column, ...]:
    return tuple(_column(name, hint) for name, hint in get_type_hints(table, include_extras=True).items())


# Columns that the merge adds are last, since get_type_hints lists the base class's columns first.
COLUMNS: tuple[Column, ...] = _columns(SplitRowColumns)
ROW_COLUMNS = tuple(column for column in COLUMNS if column.name in RowColumns.__annotations__)
"""The columns of a row as an origin makes it, without those that the merge adds."""
"""All columns of a dataset, in the order in which they stand on disk."""

_PARQUET = {str: "string", int: "int64", float: "float64", bool: "bool"}


@cache
def features() -> Features:
    """Return the ``datasets.Features`` of a row with its split; their ``arrow_schema`` is the Parquet schema."""
    from datasets import Features

    return Features({column.name: _feature(column) for column in COLUMNS})


def _feature(column: Column) -> object:
    from datasets import Value

    if column.scalar is None:
        inner: object = {field.name: _feature(field) for field in column.fields}
    else:
        inner = Value(_PARQUET[column.scalar])
    return [inner] if column.is_list else inner  # a list with one entry: how `datasets` spells a list of it


@cache
def parquet_schema() -> pyarrow.Schema:
    """Return the schema of files with ``features()``; ``datasets``, which takes 1.3 s to import, is not asked."""
    import pyarrow

    described = {column.name: _described(column) for column in COLUMNS}
    fields = [pyarrow.field(column.name, _arrow_type(column)) for column in COLUMNS]
    return pyarrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": described}})})


def _arrow_type(column: Column) -> pyarrow.DataType:
    import pyarrow

    if column.scalar is None:
        inner = pyarrow.struct([(field.name, _arrow_type(field)) for field in column.fields])
    else:
        inner = pyarrow.type_for_alias(_PARQUET[column.scalar])
    return pyarrow.list_(inner) if column.is_list else inner


def _described(column: Column) -> object:
    """The column's type as ``datasets`` before 4.0 writes it into the metadata of a file: a list of it is a list of one
    entry. Later versions read that too, and have another form, which earlier ones can't read.
    """
    if column.scalar is None:
        inner: object = {field.name: _described(field) for field in column.fields}
    else:
        inner = {"dtype": _PARQUET[column.scalar], "_type": "Value"}
    return [inner] if column.is_list else inner


def markdown() -> str:
    """Return the table as Markdown, one line a column; the fields of a record follow it, as ``steps.source``."""
    lines = ["| column | type | holds | since |", "|---|---|---|---|"]
    for name, column in _with_fields(COLUMNS, ""):
        lines.append(f"| `{name}` | {column.type_name} | {column.meaning.text} | {column.meaning.since} |")
    return "\n".join(lines)


def _with_fields(columns: tuple[Column, ...], prefix: str) -> Iterator[tuple[str, Column]]:
    for column in columns:
        yield prefix + column.name, column
        yield from _with_fields(column.fields, f"{prefix}{column.name}.")


def with_table(page: str) -> str:
    """Return a page of Markdown with its table of columns replaced by the current one.

    Raises:
        ValueError: the page has no table of columns, or several.
    """
    # The table is found by its header and ends at the first line that is none of a table.
    tables = re.findall(r"^\| column \|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    if len(tables) != 1:
        raise ValueError(f"expected a page with one table of columns, got {len(tables)}; leave its first line as it is")
    return page.replace(tables[0], f"{markdown()}\n")


def main(pages: Sequence[str]) -> None:
    """Rewrite the table of columns in each of these files."""
    for page in map(Path, pages):
        page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
