"""Datasets in other formats: what is written can be read back, what a row can't give is counted, and no code is run."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_here import main_here
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.export.codeexecutor import ExecutedLine, read_line, render_lines
from trace_mine.corpus.export.counts import WORDS, NotGiven
from trace_mine.corpus.export.cruxeval import crux_triples, is_literal, spelt_arguments
from trace_mine.corpus.export.cwm import CwmFrame, CwmTrace, read_cwm, render_cwm
from trace_mine.corpus.export.event_lines import WORDS as LINE_WORDS
from trace_mine.corpus.export.event_lines import EventLine, read_lines
from trace_mine.corpus.export.event_lines import render_lines as render_event_lines
from trace_mine.corpus.export.formats import EXPORTS
from trace_mine.corpus.export.program_text import START
from trace_mine.tracer.event_codec import unpack
from trace_mine.tracer.event_log import Event, EventLog, EventSource

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
# texts of which many hold a separator, whole or in part
parts = st.sampled_from(
    ["<", "|", "\\", ">", "<|frame_sep|>", "<\\|arg_sep|>", "..", "a", "\n", '"', "\ud800", "é", ""]
)
texts = st.lists(parts, max_size=6).map("".join)
names = st.sampled_from(["a", "b", "c", "<|frame_sep|>", "é"])

# cwm


@st.composite
def cwm_traces(draw):
    frames = []
    depth = 0
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(["call", "line", "return", "exception"])) if depth else "call"
        depth += {"call": 1, "return": -1}.get(kind, 0)
        source = draw(texts)
        if kind in ("call", "line"):
            variables = draw(st.dictionaries(names, texts.filter(lambda text: text != ".."), max_size=3))
            frames.append(CwmFrame(kind=kind, source=source, variables=variables))
        else:
            frames.append(CwmFrame(kind=kind, source=source, value=draw(texts)))
    return CwmTrace(context=draw(texts), frames=tuple(frames))


@QUICK
@given(cwm_traces())
def test_the_reader_of_cwm_is_its_inverse(trace):
    text = render_cwm(trace)
    assert read_cwm(text) == trace
    assert read_cwm(f"<|begin_of_text|>{text}<|end_of_text|>") == trace


@QUICK
@given(cwm_traces())
def test_no_text_of_theirs_is_a_separator_of_cwm(trace):
    text = render_cwm(trace)
    assert text.count("<|frame_sep|>") == len(trace.frames) + 1
    assert text.count("<|action_sep|>") == len(trace.frames)
    assert text.count("<|trace_context_start|>") == 1


def test_an_unchanged_variable_is_two_dots_within_its_scope_alone():
    def frame(kind, **variables):
        return CwmFrame(kind=kind, source="s", variables=variables)

    end = CwmFrame(kind="return", source="s", value="1")
    trace = CwmTrace(
        context="", frames=(frame("call", x="1"), frame("line", x="1"), frame("call", x="1"), end, frame("line", x="1"))
    )
    told = re.findall(r'\{"x": "([^"]*)"\}', render_cwm(trace))
    assert told == ["1", "..", "1", ".."]


def test_a_value_that_says_unchanged_is_no_value_of_cwm():
    frames = (
        CwmFrame(kind="call", source="", variables={"x": "1"}),
        CwmFrame(kind="line", source="", variables={"x": ".."}),
    )
    with pytest.raises(NotGiven, match="ambiguous_value"):
        render_cwm(CwmTrace(context="", frames=frames))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x<|frame_sep|>",
        "<|trace_context_start|>x",
        "<|trace_context_start|>x<|frame_sep|><|line_sep|>{}<|action_sep|>s<|frame_sep|>",
        "<|trace_context_start|>x<|frame_sep|><|call_sep|>[]<|action_sep|>s<|frame_sep|>",
        '<|trace_context_start|>x<|frame_sep|><|call_sep|>{"x": 1}<|action_sep|>s<|frame_sep|>',
        "<|trace_context_start|>x<|frame_sep|><|call_sep|>{}s<|frame_sep|>",
        "<|trace_context_start|>x<|frame_sep|><|call_sep|>{}<|action_sep|>s",
        "<|trace_context_start|>x<|frame_sep|><|jump_sep|>{}<|action_sep|>s<|frame_sep|>",
    ],
)
def test_what_is_no_cwm_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|Expecting"):
        read_cwm(text)


# lines

plain = st.lists(st.sampled_from(["x", " ", "\\", "\n", "\r", " = ", ": ", "é", "\u2028"]), max_size=5).map("".join)
words = st.lists(st.sampled_from(["x", " ", "\\", "\n", "s", "."]), min_size=1, max_size=4).map("".join)


@st.composite
def event_line_lists(draw):
    lines = []
    for _ in range(draw(st.integers(0, 6))):
        word, depth = draw(st.sampled_from(LINE_WORDS)), draw(st.integers(0, 3))
        fields = {
            "enter": {"name": words, "path": plain, "number": st.integers(0, 99)},
            "resume": {"name": words, "path": plain, "number": st.integers(0, 99)},
            "assign": {"name": words, "text": plain},
            "delete": {"name": words},
            "line": {"number": st.integers(0, 99), "text": plain},
            "leave": {},
        }.get(word, {"text": plain})
        lines.append(EventLine(depth=depth, word=word, **{name: draw(given_) for name, given_ in fields.items()}))
    return tuple(lines)


@QUICK
@given(event_line_lists())
def test_the_reader_of_lines_is_their_inverse(lines):
    assert read_lines(render_event_lines(lines)) == lines


@pytest.mark.parametrize("text", ["enter m.py f\n", "jump 3\n", " leave\n", "assign x\n", "leave", "line x: y\n"])
def test_what_is_no_line_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|invalid literal"):
        read_lines(text)


# codeexecutor

states = st.dictionaries(
    st.sampled_from(["a", "b", "<dictsep>"]),
    st.lists(st.sampled_from(["<", "dictsep>", "<dictsep>", "</state>", "\\", " : ", " ", "x", "\n"]), max_size=5).map(
        "".join
    ),
    max_size=3,
)


@QUICK
@given(
    st.lists(
        st.builds(ExecutedLine, index=st.integers(0, 99), state=states)
        | st.builds(ExecutedLine, state=st.just({}), output=plain),
        max_size=5,
    )
)
def test_the_reader_of_codeexecutor_is_its_inverse(lines):
    assert [read_line(text) for text in render_lines(lines)] == lines


# cruxeval


@pytest.mark.parametrize(
    ("parameters", "values", "spelt"),
    [
        ("a, b=2", {"a": "[1]", "b": "'x'"}, "[1], 'x'"),
        (
            "a, /, *rest, c, **more",
            {"a": "1", "rest": "(2, 3)", "c": "4", "more": "{'d': 5}"},
            "1, 2, 3, c=4, **{'d': 5}",
        ),
        ("*rest, **more", {"rest": "()", "more": "{}"}, ""),
    ],
)
def test_arguments_are_spelt_as_the_call_had_them(parameters, values, spelt):
    arguments = ast.parse(f"def f({parameters}): pass").body[0].args
    assert spelt_arguments(arguments, values) == spelt


@pytest.mark.parametrize(
    ("values", "reason"),
    [({}, "argument_unknown"), ({"a": "<f>"}, "argument_no_literal"), ({"a": "A(1)"}, "argument_no_literal")],
)
def test_other_arguments_are_refused_by_name(values, reason):
    with pytest.raises(NotGiven, match=reason):
        spelt_arguments(ast.parse("def f(a): pass").body[0].args, values)


@pytest.mark.parametrize("text", ["(" * 300, "'a\x00'", "[1, 2]...<30 bytes, 0123456789ab>", "-" * 100_000 + "1"])
def test_a_text_that_is_no_literal_is_no_error(text):
    assert not is_literal(text)


COUNT = "def g(n):\n    for i in range(n):\n        yield i"


def told_of_generator(source, yielded, *, end="return", value="None", changes=None):
    """What is made of a generator's run: for each value it waits, goes on (then ``changes`` are seen), and ends."""
    sources = (
        EventSource(path="m.py", line=9, name="<module>", text="list(g(2))", piece=0),
        EventSource(path="m.py", line=1, name="g", text=source),
    )
    events = [Event(kind="call", activation=0), Event(kind="call", activation=1, changes={"n": "2"})]
    for each in yielded:
        events += [
            Event(kind="yield", activation=1, value=each),
            Event(kind="call", activation=1),
            Event(kind="line", activation=1, changes=changes or {}),
        ]
    events += [Event(kind=end, activation=1, value=value)] if end else []
    return list(crux_triples(EventLog(sources=sources, activations=(0, 1), events=tuple(events))))


def test_a_generator_gives_the_list_of_what_it_yields():
    (triple,) = told_of_generator(COUNT, ["0", "(1, 'a')"])
    assert (triple.input, triple.output) == ("2", "[0, (1, 'a')]")
    namespace = {}
    exec(told_of_generator(COUNT, ["0", "1"])[0].code, namespace)  # a program of the tests' own
    assert namespace["f"](2) == [0, 1]
    (nothing,) = told_of_generator(COUNT, [])
    assert nothing.output == "[]"


@pytest.mark.parametrize(
    ("source", "run", "reason"),
    [
        (COUNT, {"yielded": ["0"], "end": ""}, "generator"),
        (COUNT, {"yielded": ["0"], "changes": {"n": "7"}}, "generator"),
        (COUNT, {"yielded": ["0"], "value": "5"}, "generator"),
        ("def g(n):\n    print((yield n))", {"yielded": ["2"]}, "generator"),
        (COUNT, {"yielded": ["0"], "end": "leave"}, "raised"),
        (COUNT, {"yielded": ["[0]", "[0]"]}, "result_no_literal"),
        (COUNT, {"yielded": ["([0],)"]}, "result_no_literal"),
        (COUNT, {"yielded": ["A(1)"]}, "result_no_literal"),
        (COUNT.replace("g(", "f("), {"yielded": ["0"]}, "no_source"),
    ],
)
def test_a_generator_of_which_that_is_not_known_is_refused_by_name(source, run, reason):
    (refused,) = told_of_generator(source, **run)
    assert isinstance(refused, NotGiven) and refused.reason == reason


# the whole way

MODULE = '''\
LIMIT = 3

def f(x):
    """
    >>> f(2)
    3
    """
    return x + 1

def total(xs, *more, start=0):
    """
    >>> total([1, 2], 3, start=4)
    10
    """
    for x in (*xs, *more):
        start = start + step(x)
    return start

def step(x):
    return x

def capped(x):
    """
    >>> capped(7)
    3
    """
    return min(x, LIMIT)

def evens(n):
    """
    >>> list(evens(2))
    [0, 2]
    """
    for i in range(n):
        yield i * 2

class Box:
    """
    >>> Box(2).double()
    4
    """

    def __init__(self, x):
        self.x = x

    def double(self):
        return self.x * 2

def separators(text):
    """
    >>> separators("<|frame_sep|>")
    Traceback (most recent call last):
    ...
    ValueError: <|frame_sep|>
    """
    raise ValueError(text)

def told_apart():
    """
    >>> import hashlib
    >>> print(hashlib.md5(str(id(object())).encode()).hexdigest())
    an address is another one in each replay
    """
'''


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Two datasets of one repository: with records, and without."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "kit" / "kit").mkdir(parents=True)
    (folder / "kit" / "kit" / "__init__.py").write_text("")
    (folder / "kit" / "kit" / "m.py").write_text(MODULE)
    arguments = [str(folder / "kit"), "--sources", "doctest", "--jobs", "1", "--environment", "none"]
    assert main_here([*arguments, "--out", str(folder / "kept"), "--keep", "records"]) == 0
    assert main_here([*arguments, "--out", str(folder / "plain")]) == 0
    return folder


def rows_of(folder: Path, name: str) -> list[dict]:
    return [row for file in sorted((folder / name).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def lines_of(folder: Path, name: str = "data") -> list[dict]:
    return [
        json.loads(line) for file in sorted((folder / name).glob("*.jsonl")) for line in open(file, encoding="ascii")
    ]


def test_records_stand_beside_the_rows_and_are_counted_apart(mined):
    import datasets

    kept, plain = (json.loads((mined / name / "stats.json").read_text()) for name in ("kept", "plain"))
    assert plain["found"] == plain["rows"] + plain["duplicates"] + sum(plain["drops"].values()) == 7
    assert plain["drops"] == {"replay_mismatch": 1} and "records" not in plain
    assert kept["found"] == kept["rows"] + kept["duplicates"] + sum(kept["drops"].values()) + kept["records"] == 7
    assert kept["records"] == 1 and kept["drops"] == {} and kept["rows"] == plain["rows"]
    for group in (*kept["by_source"].values(), *kept["by_repository"].values()):
        assert group["found"] == group["rows"] + group["duplicates"] + sum(group["drops"].values()) + group["records"]
    assert rows_of(mined / "kept", "data") == rows_of(mined / "plain", "data")
    (record,) = rows_of(mined / "kept", "records")
    assert record["no_session"] == "replay_mismatch" and record["text"] == "" and record["steps"] == []
    assert record["name"].endswith("told_apart") and unpack(record["events"]).events
    assert not (mined / "plain" / "records").exists()
    cache = str(mined / "cache")
    default = datasets.load_dataset(str(mined / "kept"), cache_dir=cache)
    assert {reason for split in default.values() for reason in split["no_session"]} == {""}
    records = datasets.load_dataset(str(mined / "kept"), "records", cache_dir=cache)
    assert sum(map(len, records.values())) == 1
    assert "+ records 1" in (mined / "kept" / "README.md").read_text()


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_is_written_read_and_counted(name, mined, tmp_path, capsys):
    import datasets

    out = tmp_path / "out"
    assert main_here(["export", str(mined / "kept"), "--format", name, "--out", str(out)]) == 0
    report = json.loads((out / "export.json").read_text())
    rows, lines = rows_of(mined / "kept", "data"), lines_of(out)
    assert report["format"] == name and report["data"]["read"] == len(rows) and report["data"]["lines"] == len(lines)
    assert set(report["data"]["not_given"]) <= set(WORDS)
    if name != "cruxeval":  # each row gives one line or one reason
        assert len(lines) + sum(report["data"]["not_given"].values()) == len(rows)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, loaded.values())) == len(lines)
    told = capsys.readouterr().out
    for word, number in report["data"]["not_given"].items():
        assert word in told and number
    for line in lines:
        assert set(EXPORTS[name].columns) <= set(line) and "no_session" not in line
        assert line["trace_id"] in {row["trace_id"] for row in rows}
    records = lines_of(out, "records")
    assert all(line["no_session"] == "replay_mismatch" for line in records)
    assert len(records) == (0 if name in ("repl", "cruxeval") else 1)


def exported(mined: Path, tmp_path: Path, name: str) -> list[dict]:
    assert main_here(["export", str(mined / "plain"), "--format", name, "--out", str(tmp_path / "out")]) == 0
    return lines_of(tmp_path / "out")


def test_cwm_says_what_the_events_say(mined, tmp_path):
    rows = {row["trace_id"]: row for row in rows_of(mined / "plain", "data")}
    lines = exported(mined, tmp_path, "cwm")
    assert len(lines) == len(rows) == 6
    for line in lines:
        trace = read_cwm(line["text"])
        log = unpack(rows[line["trace_id"]]["events"])
        context = trace.context.split("\n")
        assert context.count(START) == 1 and all(frame.source in context for frame in trace.frames)
        kinds = [frame.kind for frame in trace.frames]
        assert kinds.count("call") == kinds.count("return") and kinds[0] == "call" and kinds[-1] == "return"
        values = [event.value for event in log.events if event.kind in ("return", "yield", "raise")]
        told = [frame.value for frame in trace.frames if frame.value is not None]
        assert [value for value in values if value != "None"] == [value for value in told if value != "None"]
    (line,) = [line for line in lines if line["name"].endswith("total")]
    frames = read_cwm(line["text"]).frames
    entered = [frame for frame in frames if frame.kind == "call"][1]
    assert entered.source == "def total(xs, *more, start=0):"
    assert [*entered.variables.items()] == [("xs", "[1, 2]"), ("start", "4"), ("more", "(3,)")]
    assert frames[-2].value == "10" and frames[-2].source == "    return start"


def test_cruxeval_holds_when_it_is_run(mined, tmp_path):
    from trace_mine.tracer.config import TracerConfig
    from trace_mine.tracer.limits import Limits
    from trace_mine.tracer.session import Tracer

    lines = exported(mined, tmp_path, "cruxeval")
    assert {line["function"] for line in lines} == {"f", "total", "step", "evens"}
    (listing,) = [line for line in lines if line["function"] == "evens"]
    assert (listing["input"], listing["output"]) == ("2", "[0, 2]")
    report = json.loads((tmp_path / "out" / "export.json").read_text())["data"]["not_given"]
    assert report == {"method_or_local": 2, "raised": 1, "reads_global": 1}
    with Tracer(TracerConfig()) as tracer:
        for line in lines:
            source = f"{line['code']}\nassert f({line['input']}) == {line['output']}\n"
            assert tracer.run_source(source, Limits()).status == "ok", line
        wrong = f"{lines[0]['code']}\nassert f({lines[0]['input']}) == 'another'\n"
        assert tracer.run_source(wrong, Limits()).status == "exception"


def test_codeexecutor_says_what_was_assigned(mined, tmp_path):
    (line,) = [line for line in exported(mined, tmp_path, "codeexecutor") if line["name"].endswith("total")]
    code = line["code"].split("\n")
    trace = [read_line(text) for text in line["trace"]]
    added = [each for each in trace if code[each.index].strip() == "start = start + step(x)"]
    assert [each.state["start"] for each in added] == ["5", "7", "10"]


def test_lines_tell_each_event(mined, tmp_path):
    (line,) = [line for line in exported(mined, tmp_path, "lines") if line["name"].endswith("separators")]
    told = [(each.depth, each.word, each.text) for each in read_lines(line["text"]) if each.word != "line"]
    error = "ValueError('<|frame_sep|>')"
    assert told == [
        (0, "enter", ""),
        (1, "enter", ""),
        (2, "assign", "'<|frame_sep|>'"),
        (2, "raise", error),
        (2, "leave", ""),
        (1, "raise", error),
        (1, "leave", ""),
    ]
    assert [source["name"] for source in line["source"]] == ["<module>", "separators"]


# what goes wrong


def test_wrong_usage_is_told(mined, tmp_path, capsys):
    def fails(*arguments: str) -> str:
        assert main_here(["export", *arguments]) == 2
        return capsys.readouterr().err

    data, out = str(mined / "plain"), str(tmp_path / "out")
    assert "expected --format to be repl, cwm, lines, cruxeval, codeexecutor, got 'xml'" in fails(
        data, "--format", "xml", "--out", out
    )
    assert "expected a dataset with data/*.parquet" in fails(str(tmp_path), "--format", "cwm", "--out", out)
    assert "expected a dataset with data/*.parquet" in fails(str(tmp_path / "none"), "--format", "cwm", "--out", out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert "new or empty" in fails(data, "--format", "cwm", "--out", str(tmp_path / "full"))
    assert "new or empty" in fails(data, "--format", "cwm", "--out", str(tmp_path / "full" / "file"))
    assert "outside of the dataset" in fails(data, "--format", "cwm", "--out", f"{data}/out")
    assert not (tmp_path / "out").exists() and (tmp_path / "full" / "file").read_text() == "mine"


def test_an_older_dataset_gives_its_sessions_and_says_why_no_more(mined, tmp_path, capsys):
    old = tmp_path / "old"
    (old / "data").mkdir(parents=True)
    for file in (mined / "plain" / "data").glob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns(["events", "no_session"]), old / "data" / file.name)
    assert main_here(["export", str(old), "--format", "repl", "--out", str(tmp_path / "repl")]) == 0
    assert len(lines_of(tmp_path / "repl")) == 6
    assert main_here(["export", str(old), "--format", "cwm", "--out", str(tmp_path / "cwm")]) == 1
    assert "no_events 6" in capsys.readouterr().err
    assert not (tmp_path / "cwm").exists() and [*tmp_path.glob(".cwm*")] == []


def test_a_row_without_what_the_format_reads_costs_itself_alone(mined, tmp_path, capsys):
    import pyarrow

    bad = tmp_path / "bad"
    (bad / "data").mkdir(parents=True)
    for file in (mined / "plain" / "data").glob("*.parquet"):
        table = pq.read_table(file)
        texts = [None, *table["text"].to_pylist()[1:]]
        pq.write_table(
            table.set_column(table.schema.get_field_index("text"), "text", pyarrow.array(texts, pyarrow.string())),
            bad / "data" / file.name,
        )
    assert main_here(["export", str(bad), "--format", "repl", "--out", str(tmp_path / "repl")]) == 0
    assert "not given: damaged 1" in capsys.readouterr().out
    assert len(lines_of(tmp_path / "repl")) == 5 and all(line["text"] for line in lines_of(tmp_path / "repl"))


def test_damaged_events_cost_their_row_alone(mined, tmp_path, capsys):
    import pyarrow

    bad = tmp_path / "bad"
    (bad / "data").mkdir(parents=True)
    for file in (mined / "plain" / "data").glob("*.parquet"):
        table = pq.read_table(file)
        events = table["events"].to_pylist()
        events[0] = "AAAA"
        column = table.schema.get_field_index("events")
        pq.write_table(table.set_column(column, "events", pyarrow.array(events)), bad / "data" / file.name)
    assert main_here(["export", str(bad), "--format", "cwm", "--out", str(tmp_path / "cwm")]) == 0
    assert "not given: damaged 1" in capsys.readouterr().out and len(lines_of(tmp_path / "cwm")) == 5
    (bad / "data" / "train-00001-of-00002.parquet").write_bytes(b"PAR1")
    assert main_here(["export", str(bad), "--format", "cwm", "--out", str(tmp_path / "again")]) == 1
    assert "damaged" in capsys.readouterr().err and not (tmp_path / "again").exists()
